"""Simulates small networks as a user would. Usage: simulate_test.py BINARY SOURCE_FOLDER"""

import json
import re
import sys
import unittest

from command import SERIAL, SOURCE, Command, orthospike

BRUNEL = SOURCE / "configs" / "simulations" / "brunel-2000.ini"

# A fifth of the neurons and of the synapses to each, five times as strong.
SMALL = ["--population.E.size=2000", "--population.I.size=500", "--projection.E_to_E.indegree=200",
         "--projection.E_to_I.indegree=200", "--projection.I_to_E.indegree=50", "--projection.I_to_I.indegree=50",
         "--projection.E_to_E.weight=0.5", "--projection.E_to_I.weight=0.5", "--projection.I_to_E.weight=-2.5",
         "--projection.I_to_I.weight=-2.5", "--poisson.to_E.rate=4000", "--poisson.to_I.rate=4000",
         "--poisson.to_E.weight=0.5", "--poisson.to_I.weight=0.5", "--simulation.time=300", "--simulation.warm_up=100"]


class Simulate(Command):
    def test_a_network_fires_as_it_should(self):
        result = orthospike("simulate", BRUNEL, *SMALL, SERIAL)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Brunel 2000: 2000 + 500 neurons, 625000 synapses", result.stdout)
        rates = re.findall(r"^(E|I) +rate ([\d.]+) Hz, .* CV ([\d.]+)", result.stdout, re.MULTILINE)
        self.assertEqual([name for name, _, _ in rates], ["E", "I"])
        for _, rate, cv in rates:
            self.assertTrue(25 < float(rate) < 55, rate)
            self.assertTrue(0.5 < float(cv) < 1.5, cv)
        measured = json.loads(result.stdout.splitlines()[-1])
        self.assertEqual(list(measured["rates"]), ["E", "I"])
        self.assertAlmostEqual(measured["rates"]["E"], float(rates[0][1]), 2)
        self.assertGreater(measured["real_time_factor"], 0)

    def test_what_it_gives_depends_on_the_seed_and_not_on_threads(self):
        def rates(*words):
            return json.loads(orthospike("simulate", BRUNEL, *SMALL, *words).stdout.splitlines()[-1])["rates"]
        self.assertEqual(rates(SERIAL), rates("--run.threads=2"))
        self.assertNotEqual(rates(SERIAL), rates(SERIAL, "--simulation.seed=2"))

    def test_what_cannot_be_simulated_is_refused(self):
        def refused(*words):
            return orthospike("simulate", BRUNEL, *words)
        self.assert_refused(orthospike("simulate"), 2, "config file")
        self.assert_refused(orthospike("simulate", self.folder / "none.ini"), 2, "none.ini")
        self.assert_refused(refused("--population.E.tau_mm=3"), 2, "population.E.tau_m'", "command line")
        self.assert_refused(refused("--whatever.key=3"), 2, "help simulate")
        self.assert_refused(refused("--projection.E_to_E.outdegree=3"), 2, "fixed_outdegree")
        self.assert_refused(refused("--projection.E_to_I.target=J"), 2, "'J'", "E, I")
        self.assert_refused(refused("--projection.E_to_E.weight=soon"), 2, "projection.E_to_E.weight", "'soon'")
        self.assert_refused(refused("--projection.E_to_E.delay=0.01"), 2, "projection.E_to_E")
        self.assert_refused(refused("--projection.E_to_E.weight=1e300"), 2, "projection.E_to_E.weight", "single precision")
        self.assert_refused(refused("--poisson.to_E.rate=1e30"), 2, "poisson.to_E.rate", "spikes in a step")
        self.assert_refused(refused("--simulation.time=0.05"), 2, "simulation.time", "multiple")
        self.assert_refused(refused("--simulation.time=1e38", "--simulation.dt=0.001"), 2, "simulation.time", "steps")
        self.assert_refused(refused("--population.E.t_ref=0.25"), 2, "population.E.t_ref", "0.25")
        config = self.folder / "twice.ini"
        config.write_text("[simulation]\ntime = 3\n[population.A]\nsize = 2\n[simulation]\ntime = 4\n")
        self.assert_refused(orthospike("simulate", config), 2, "simulation.time", "twice")

    def test_help_lists_every_key(self):
        text = orthospike("help", "simulate").stdout
        keys = re.findall(r"^(\w+(?:\.\w+)+)$", text, re.MULTILINE)
        self.assertEqual(len(keys), len(set(keys)))
        self.assertEqual(text.count("default: "), len(keys))
        for line in BRUNEL.read_text().splitlines():
            section = re.fullmatch(r"\[(\w+)(\.\w+)?\]", line)
            if section:
                prefix = section[1] + (".NAME" if section[2] else "")
            elif " = " in line and not line.startswith("#"):
                self.assertIn(f"{prefix}.{line.split(' = ')[0]}", keys)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
