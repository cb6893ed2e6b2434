"""Drives the orthospike binary as a user or a sweep tool would. Usage: cli_test.py BINARY SOURCE_FOLDER"""

import csv
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

from command import BINARY, CONFIG, SERIAL, SOURCE, Command, orthospike

QUICK = ["--tasks.count=2", "--tasks.train_samples=640", "--tasks.test_samples=300", "--tasks.epochs=1", SERIAL]


class Program(Command):
    def finished_run(self):
        out = self.folder / "run"
        result = orthospike("run", CONFIG, "--out", out, *QUICK)
        self.assertEqual(result.returncode, 0, result.stderr)
        return out, result


class CommandLine(Program):
    def test_usage(self):
        self.assert_refused(orthospike(), 2, "--help")
        self.assert_refused(orthospike("rnu"), 2, "'rnu'", "'run'")
        self.assert_refused(orthospike("run"), 2, "config file")
        self.assert_refused(orthospike("run", CONFIG, "--out"), 2, "--out")
        self.assert_refused(orthospike("inspect"), 2)
        self.assert_refused(orthospike("report"), 2, "run or sweep folders")
        self.assert_refused(orthospike("report", "run", env=os.environ | {"ORTHOSPIKE_PYTHON": "/none"}), 1, "/none",
                            "ORTHOSPIKE_PYTHON")
        self.assert_refused(orthospike("help", "confgi"), 2, "config")
        self.assertRegex(orthospike("--version").stdout, r"\Aorthospike \d+\.\d+\.\d+ \(\S+\)\n\Z")
        self.assert_refused(orthospike("test"), 2, "run folder")
        for words in (["--help"], ["run", CONFIG, "--help"], ["test", "-h"], ["inspect", "--help"], ["help", "-h"]):
            result = orthospike(*words)
            self.assertEqual(result.returncode, 0)
            self.assertIn("Usage:", result.stdout)
        self.assert_refused(orthospike("fly"), 2, "'fly'; 'orthospike --help'")

    def test_help_lists_every_key(self):
        text = orthospike("help", "config").stdout
        keys = re.findall(r"^(\w+\.\w+)$", text, re.MULTILINE)
        self.assertEqual(len(keys), len(set(keys)))
        out, _ = self.finished_run()
        section = ""
        for line in ("[experiment]" + orthospike("inspect", out).stdout.rsplit("\n[experiment]", 1)[1]).splitlines():
            section = line.strip("[]") if line.startswith("[") else section
            if " = " in line:
                self.assertIn(f"{section}.{line.split(' = ')[0]}", keys)
        self.assertEqual(text.count("default: "), len(keys))
        section = orthospike("help", "config", "protection").stdout
        self.assertEqual(re.findall(r"^(\w+\.\w+)$", section, re.MULTILINE),
                         ["protection.name", "protection.stride"])
        part = re.findall(r"^(\w+\.\w+)$", orthospike("help", "config", "hlop").stdout, re.MULTILINE)
        self.assertIn("hlop.ranks", part)
        self.assertIn("hebbian.clamp", part)
        self.assertNotIn("gpm.threshold", part)
        self.assert_refused(orthospike("help", "config", "protecton"), 2, "'protecton'", "protection")

    def test_config_errors(self):
        self.assert_refused(orthospike("run", "/nonexistent.ini"), 2, "/nonexistent.ini")
        self.assert_refused(orthospike("run", CONFIG, "--task.count=2"), 2, "'task.count'", "'tasks.count'")
        self.assert_refused(orthospike("run", CONFIG, "--tasks.count=two"), 2, "tasks.count", "'two'")
        out = self.folder / "out"
        self.assert_refused(orthospike("run", CONFIG, "--rule.name=dsp", "--out", out), 2, "rule.name", "dsr")
        self.assert_refused(orthospike("run", CONFIG, "--protection.name=none+replay", "--out", out), 2,
                            "protection.name", "'none+replay'", "hlop+replay", "joint")
        self.assert_refused(orthospike("run", CONFIG, "--replay.selection=last", "--out", out), 2,
                            "replay.selection", "'last'", "reservoir")
        self.assert_refused(orthospike("run", CONFIG, "--replay.batch_size=0"), 2, "replay.batch_size", "'0'")
        self.assertFalse((out / "run.h5").exists())
        config = self.folder / "config.ini"
        config.write_text("[data]\npath = tests/data/optdigits\n[rule]\nname = dsp\nslope = 3\n")
        self.assert_refused(orthospike("run", config, "--out", out), 2, f"{config}:4: rule.name", "dsr")
        config.write_text("[data]\npath = tests/data/optdigits\n[rule]\nslope = 3\n")
        self.assert_refused(orthospike("run", config, "--out", out), 2, f"{config}:4: rule.slope", "bptt")
        self.assertFalse((out / "run.h5").exists())

    def test_the_home_folder(self):
        home = os.environ | {"HOME": str(SOURCE)}
        here = orthospike("run", CONFIG, "--out", self.folder / "run", "--data.path=~/tests/data/optdigits", *QUICK,
                          cwd=self.folder, env=home)
        self.assertEqual(here.returncode, 0, here.stderr)

    def test_missing_device(self):
        out = self.folder / "out"
        self.assert_refused(orthospike("run", CONFIG, "--out", out, "--run.device=cuda:1000"), 1, "run.device")
        self.assert_refused(orthospike("run", CONFIG, "--out", out, "--run.device=cuda:x"), 2, "'x'")
        self.assert_refused(orthospike("run", CONFIG, "--out", out, "--run.device=abacus"), 2, "'abacus'", "cpu")
        self.assertFalse((out / "run.h5").exists())

    def test_missing_data(self):
        out = self.folder / "out"
        result = orthospike("run", CONFIG, "--data.path=/nonexistent", "--out", out)
        self.assert_refused(result, 1, "/nonexistent", "train-images-idx3-ubyte")
        self.assertFalse(out.exists())

    def test_run_prints_a_matrix_and_ends_with_json(self):
        out, result = self.finished_run()
        self.assertEqual(sorted(path.name for path in out.iterdir()), ["run.h5", "weights.h5"])
        lines = result.stdout.splitlines()
        summary = json.loads(lines[-1])
        self.assertEqual(set(summary),
                         {"acc", "bwt", "forgetting", "seconds", "train_samples_per_second", "run_file"})
        self.assertEqual(summary["run_file"], str(out / "run.h5"))
        self.assertGreater(summary["train_samples_per_second"], 0)
        last_row = next(line for line in reversed(lines) if line.startswith("after 2"))
        accuracies = [float(word) for word in last_row.split()[2:]]
        self.assertAlmostEqual(summary["acc"], sum(accuracies) / 2 / 100, places=4)
        self.assertIn("after 1", result.stdout)
        self.assertNotIn("\r", result.stdout)

    def test_a_finished_run_is_not_run_again(self):
        out, first = self.finished_run()
        before = (out / "run.h5").stat()
        again = orthospike("run", CONFIG, "--out", out, *QUICK[:-1], "--run.threads=2")
        self.assertEqual(again.returncode, 0)
        self.assertIn("finished already", again.stdout)
        self.assertEqual(json.loads(again.stdout.splitlines()[-1]), json.loads(first.stdout.splitlines()[-1]))
        self.assert_refused(orthospike("run", CONFIG, "--out", out, *QUICK, "--experiment.seed=1"), 2, str(out),
                            "experiment.seed 2022 → 1")
        self.assertEqual((out / "run.h5").stat().st_mtime_ns, before.st_mtime_ns)

    def test_names_that_look_like_ini(self):
        for name in ("run #3", "x [run]", ' "quoted" '):
            with self.subTest(name):
                settings = ["--out", self.folder / "run", *QUICK[1:], "--tasks.count=1", f"--experiment.name={name}"]
                self.assertEqual(orthospike("run", CONFIG, *settings).returncode, 0)
                self.assertIn("finished already", orthospike("run", CONFIG, *settings).stdout)
                other = orthospike("run", CONFIG, *settings, "--experiment.seed=1")
                self.assert_refused(other, 2, "experiment.seed")
                (self.folder / "run/run.h5").unlink()
        self.assert_refused(orthospike("run", CONFIG, "--experiment.name=a\nb"), 2, "experiment.name")

    def test_a_single_task_has_no_transfer(self):
        result = orthospike("run", CONFIG, "--out", self.folder / "one", *QUICK[1:], "--tasks.count=1")
        self.assertIsNone(json.loads(result.stdout.splitlines()[-1])["bwt"])

    def test_replay_and_joint_training(self):
        # All training samples: they are sorted by class, and on the first few all runs get the same accuracies.
        quick = ["--tasks.count=2", "--tasks.epochs=1", SERIAL]
        out = self.folder / "replay"
        result = orthospike("run", CONFIG, "--out", out, *quick, "--protection.name=hlop+replay")
        self.assertEqual(result.returncode, 0, result.stderr)
        joint = self.folder / "joint"
        result = orthospike("run", CONFIG, "--out", joint, *quick, "--protection.name=joint")
        summary = json.loads(result.stdout.splitlines()[-1])
        self.assertEqual((summary["bwt"], summary["forgetting"]), (None, None))
        self.assertGreater(summary["train_samples_per_second"], 0)
        self.assertGreater(summary["acc"], 0.8)
        for text in (result.stdout, orthospike("inspect", joint).stdout):
            self.assertNotRegex(text, "(?m)^after 1")
            self.assertRegex(text, r"(?m)^after 2 +\d+\.\d\d +\d+\.\d\d$")
            self.assertIn("BWT - %", text)

        text = orthospike("inspect", out, "--joint", joint).stdout
        learned = [float(re.search(rf"(?m)^after {task} .*$", text)[0].split()[1 + task]) for task in (1, 2)]
        reached = [float(word) for word in re.search(r"(?m)^after 2 .*$", result.stdout)[0].split()[2:]]
        match = re.search(r"(?m)^intransigence (\S+) %, by task: (\S+) (\S+)$", text)
        mean, *by_task = map(float, match.groups())
        self.assertNotEqual(reached, learned)
        for task in range(2):
            self.assertAlmostEqual(by_task[task], reached[task] - learned[task], delta=0.011)
        self.assertAlmostEqual(mean, sum(by_task) / 2, delta=0.011)
        self.assertNotIn("intransigence", orthospike("inspect", out).stdout)
        self.assert_refused(orthospike("inspect", out, "--joint", out), 2, "--joint", str(out))
        self.assert_refused(orthospike("inspect", out, "--joint"), 2, "--joint")

    def test_hidden_boundaries_are_shown_where_they_were_detected(self):
        out = self.folder / "hidden"
        orthospike("run", CONFIG, "--out", out, "--tasks.boundaries=hidden", "--boundaries.distance=5", *QUICK)
        self.assertIn("\ntasks seemed to begin with the updates 11\n", orthospike("inspect", out).stdout)

    def test_what_tasks_are_and_whether_they_are_told_is_shown(self):
        split = ["--tasks.sequence=split", "--tasks.count=2", "--tasks.epochs=1", "--hlop.ranks=24; 10", SERIAL]
        for head, line in (("task", "told at test time which task a sample is of"), ("all", "the network is not told")):
            out = self.folder / head
            result = orthospike("run", CONFIG, "--out", out, *split, f"--split.head={head}")
            self.assertEqual(result.returncode, 0, result.stderr)
            for text in (result.stdout, orthospike("inspect", out).stdout):
                self.assertIn(f"\n{line}", text)
            self.assertIn("\ntask 2: classes 2, 3\n", orthospike("inspect", out).stdout)
        result = orthospike("run", CONFIG, "--out", out / "more", *split, "--tasks.test_samples=400")
        self.assertIn("warning: tasks.test_samples asks for 400 test samples of task 1", result.stderr)

    def percents(self, text, start):
        """Of the last line that begins so."""
        return re.findall(r"\d+[.]\d\d", re.findall(rf"(?m)^{start} .*$", text)[-1])

    def evaluate(self, *arguments):
        result = orthospike("test", *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout, json.loads(result.stdout.splitlines()[-1])

    def test_a_run_is_tested_again(self):
        out, run = self.finished_run()
        last_row = self.percents(run.stdout, "after 2")
        for place in (out, out / "run.h5", out / "weights.h5"):
            text, summary = self.evaluate(place, "--run.threads=2")
            self.assertEqual(set(summary), {"acc", "accuracies", "weights_file"})
            self.assertEqual(summary["weights_file"], str(out / "weights.h5"))
            self.assertEqual([f"{100 * share:.2f}" for share in summary["accuracies"]], last_row)
            self.assertEqual(summary["acc"], json.loads(run.stdout.splitlines()[-1])["acc"])
            for task, percent in enumerate(last_row, 1):
                self.assertRegex(text, rf"(?m)^{task} +{percent} .* 300  permutation {task}$")
        self.assertIn("\nconfusion matrix of tasks 1, 2:", text)
        self.assertIn("after 2 of 2 tasks", text)
        self.assertEqual(self.evaluate(out, "--task=2")[1]["accuracies"], summary["accuracies"][1:])
        self.assertEqual(self.evaluate(out, "--task", "2,1")[1]["accuracies"], summary["accuracies"][::-1])
        self.assertNotEqual(self.evaluate(out, "--tasks.test_samples=600")[1]["accuracies"], summary["accuracies"])

    def test_tasks_that_are_told_have_a_confusion_matrix_each(self):
        out = self.folder / "split"
        options = ["--tasks.sequence=split", "--split.head=task", "--tasks.count=2", "--tasks.epochs=1",
                   "--hlop.ranks=24; 10", SERIAL]
        run = orthospike("run", CONFIG, "--out", out, *options)
        text, summary = self.evaluate(out)
        self.assertEqual([f"{100 * share:.2f}" for share in summary["accuracies"]],
                         self.percents(run.stdout, "after 2"))
        self.assertRegex(text, r"confusion matrix of task 1: .*\n +0 +1\n +0 ")
        self.assertRegex(text, r"confusion matrix of task 2: .*\n +2 +3\n +2 ")
        self.assertIn("\ntold at test time", text)

    def test_predictions(self):
        out, _ = self.finished_run()
        file = self.folder / "predictions.csv"
        text, summary = self.evaluate(out, "--predictions", file)
        with open(file, newline="") as stream:
            rows = list(csv.DictReader(stream))
        self.assertEqual(list(rows[0])[:5], ["task", "sample", "label", "prediction", "score_0"])
        self.assertEqual((len(rows), len(rows[0])), (600, 14))
        for task in (1, 2):
            own = [row for row in rows if row["task"] == str(task)]
            right = sum(row["label"] == row["prediction"] for row in own)
            self.assertEqual(right / len(own), summary["accuracies"][task - 1])
            for row in own:
                scores = [float(row[f"score_{i}"]) for i in range(10)]
                self.assertEqual(scores.index(max(scores)), int(row["prediction"]))
        confusions = [list(map(int, line.split()[1:])) for line in text.splitlines() if re.match(r" +\d+( +\d+){10}$", line)]
        pairs = [(int(row["label"]), int(row["prediction"])) for row in rows]
        self.assertEqual(confusions, [[pairs.count((label, answer)) for answer in range(10)] for label in range(10)])
        file = self.folder / "predictions.h5"
        self.evaluate(out, f"--predictions={file}", "--task=1")
        self.assertTrue(file.read_bytes().startswith(b"\x89HDF"))
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"run", "predictions.csv", "predictions.h5"})
        self.assert_refused(orthospike("test", out, "--predictions=p.txt"), 2, "--predictions", ".csv", ".h5")
        self.assert_refused(orthospike("test", out, "--predictions", self.folder / "none/p.csv"), 1, "none/p")

    def test_a_finished_run_is_recorded(self):
        out, _ = self.finished_run()
        accuracies = self.evaluate(out)[1]["accuracies"]
        result = orthospike("record", out, "--record.samples=0-39")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for task, accuracy in enumerate(accuracies, 1):
            self.assertIn(f"task {task}: accuracy {100 * accuracy:.2f} %, 40 of 300 samples recorded\n", result.stdout)
        self.assertEqual(json.loads(result.stdout.splitlines()[-1]), {"folder": str(out)})
        table = [line for line in result.stdout.splitlines() if line.startswith(("recorded ", "spikes "))]
        self.assertGreaterEqual(len(table), 2)
        self.assertIn("\n".join(table), orthospike("inspect", out).stdout)
        again = orthospike("record", out)
        self.assert_refused(again, 1, str(out / "spikes.h5"), "--out")

        other = self.folder / "other"
        result = orthospike("record", out, "--out", other, "--record.variables=trace", "--record.neurons=random 5",
                            "--record.tasks=2", SERIAL)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual({path.name for path in other.iterdir()}, {"report-trace.h5"})
        self.assertRegex(orthospike("inspect", other).stdout, r"\Arecorded .*\ntrace +hidden1 +5/\d+ +100 ")
        (other / "report-trace.h5").rename(other / "report-trace.partial.h5")  # as a kill leaves it
        self.assertEqual(orthospike("record", out, "--out", other, "--record.samples=1").returncode, 0)
        self.assertEqual({path.name for path in other.iterdir()}, {"spikes.h5"})
        (other / "spikes.h5").write_bytes((other / "spikes.h5").read_bytes()[:3000])
        self.assert_refused(orthospike("inspect", other), 1, str(other / "spikes.h5"))

    def test_what_cannot_be_recorded_is_refused(self):
        out, _ = self.finished_run()
        before = {path.name for path in out.iterdir()}
        for setting, code, *words in [
                ("--record.variables=spike", 2, "record.variables", "'spike'", "spikes, current, trace"),
                ("--record.populations=hidden9", 2, "record.populations", "'hidden9'", "hidden1"),
                ("--record.neurons=5-2", 2, "record.neurons", "'5-2'", "random N"),
                ("--record.neurons=100000", 2, "record.neurons", "hidden1"),
                ("--record.steps=random 3", 2, "record.steps", "'random 3'"),
                ("--record.tasks=3", 2, "record.tasks", "2 tasks"),
                ("--record.samples=300-400", 2, "record.samples", "nothing is recorded"),
                ("--record.phase=training", 2, "record.samples", "nothing is recorded"),
                ("--network.hidden=8", 2, "network.hidden", "of the recording"),
                ("--out", 2, "--out")]:
            with self.subTest(setting):
                self.assert_refused(orthospike("record", out, setting), code, *words)
        self.assert_refused(orthospike("test", out, "--record.variables=spikes"), 2, "record.variables")
        self.assert_refused(orthospike("record", self.folder / "none"), 1, "none")
        self.assert_refused(orthospike("run", CONFIG, "--out", self.folder / "run2", "--record.neurons=3"), 2,
                            "record.neurons", "record.variables")
        self.assertEqual({path.name for path in out.iterdir()}, before)

    def test_what_cannot_be_tested_is_refused(self):
        out, _ = self.finished_run()
        self.assert_refused(orthospike("test", out, "--task=3"), 2, "--task", "'3'", "from 1 to 2")
        self.assert_refused(orthospike("test", out, "--task=1,"), 2, "--task", "'1,'")
        self.assert_refused(orthospike("test", out, "--task"), 2, "--task")
        self.assert_refused(orthospike("test", out, "--task=1", "--task=2"), 2, "--task", "twice")
        self.assert_refused(orthospike("test", out, "--network.hidden=64"), 2, "network.hidden")
        self.assert_refused(orthospike("test", out, "--tasks.cuont=1"), 2, "'tasks.count'")
        self.assert_refused(orthospike("test", out, "--tasks.sequence=split"), 2, "tasks.sequence", "logits")
        self.assert_refused(orthospike("test", out, "--data.path=/nonexistent"), 1, "/nonexistent")
        self.assert_refused(orthospike("test", self.folder / "none"), 1, "none")
        weights = out / "weights.h5"
        whole = weights.read_bytes()
        for length in range(0, len(whole), len(whole) // 20):
            weights.write_bytes(whole[:length])
            self.assert_refused(orthospike("test", out), 1, str(weights))
        (out / "run.h5").rename(weights)
        self.assert_refused(orthospike("test", out), 1, "'orthospike run'", "'orthospike weights'")
        weights.unlink()
        self.assert_refused(orthospike("test", out), 1, str(weights), "at the end of each task")

    def test_a_run_starts_from_weights(self):
        first, run = self.finished_run()
        last_row = self.percents(run.stdout, "after 2")
        out = self.folder / "second"
        start = [CONFIG, *QUICK, f"--network.weights={first}"]
        result = orthospike("run", *start, "--out", out, "--experiment.save_weights=each")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.percents(result.stdout, "untrained"), last_row)
        self.assertEqual(sorted(path.name for path in out.iterdir()),
                         ["run.h5", "weights-task-1.h5", "weights-task-2.h5", "weights.h5"])
        self.assertIn(f"\nweights = {first}\n", orthospike("inspect", out).stdout)
        row = self.evaluate(out / "weights-task-1.h5")[1]["accuracies"]
        self.assertEqual([f"{100 * share:.2f}" for share in row], self.percents(result.stdout, "after 1"))

        refused = self.folder / "refused"
        result = orthospike("run", *start, "--out", refused, "--network.hidden=128,64")
        self.assert_refused(result, 2, "network.weights", str(first), "hidden2 (128 lif_dsr", "hidden2 (64 lif_dsr")
        result = orthospike("run", *start, "--out", refused, "--neuron.model=lif", "--rule.name=bptt")
        self.assert_refused(result, 2, "network.weights", "hidden2 (128 lif_dsr", "hidden2 (128 lif)")
        result = orthospike("run", CONFIG, "--out", refused, *QUICK, "--network.weights=/nonexistent")
        self.assert_refused(result, 1, "/nonexistent")
        self.assertEqual([path.name for path in refused.iterdir()], ["error.txt"])
        self.assert_refused(orthospike("run", *start, "--out", first), 2, "network.weights")
        (first / "run.h5").unlink()
        self.assert_refused(orthospike("run", *start, "--out", first), 2, "network.weights", "another folder")

    def test_a_network_goes_to_nir_and_comes_back(self):
        out, run = self.finished_run()
        file, imported = self.folder / "network.nir", self.folder / "imported"
        result = orthospike("export", out, "--nir", file)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(json.loads(result.stdout.splitlines()[-1]), {"nir_file": str(file)})
        result = orthospike("import", file, "--out", imported)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(json.loads(result.stdout.splitlines()[-1]),
                         {"config_file": str(imported / "config.ini"), "weights_file": str(imported / "weights.h5")})
        self.assertNotIn("assumed", result.stdout)
        text, summary = self.evaluate(imported)
        self.assertEqual(summary["accuracies"], self.evaluate(out)[1]["accuracies"])
        self.assertIn("after 2 of 2 tasks", text)
        self.assertEqual(sorted(path.name for path in imported.iterdir()), ["config.ini", "weights.h5"])
        more = orthospike("run", imported / "config.ini", f"--network.weights={imported}", "--out", self.folder / "more")
        self.assertEqual(self.percents(more.stdout, "untrained"), self.percents(run.stdout, "after 2"))

        before = (imported / "weights.h5").read_bytes()
        self.assert_refused(orthospike("import", file, "--out", imported), 1, "config.ini is there already", "--out")
        self.assert_refused(orthospike("import", file, f"--out={out}"), 1, "weights.h5 is there already")
        self.assertEqual((imported / "weights.h5").read_bytes(), before)
        result = orthospike("import", file, cwd=self.folder)
        self.assertTrue((self.folder / "runs/network/weights.h5").exists(), result.stderr)
        self.assert_refused(orthospike("export", out, "--nir", self.folder / "none/network.nir"), 1, "none/network.nir")

        for words in (["export"], ["export", out], ["export", "--nir", file], ["export", out, "--nir"],
                      ["export", out, file], ["export", out, f"--nir={file}", f"--nir={file}"],
                      ["export", out, "--nir="], ["import"], ["import", file, "--out"], ["import", file, "word"],
                      ["import", file, "--out=a", "--out=b"], ["import", file, "--neuron.tau=3", "--out=a"],
                      ["import", file, "--neuron.steps=3", "--out=a"]):
            self.assert_refused(orthospike(*words), 2)
        self.assert_refused(orthospike("export", self.folder / "nowhere", "--nir", file), 1, "nowhere")

    def test_what_is_no_nir_graph_is_refused_and_changes_nothing(self):
        out, _ = self.finished_run()
        file, imported = self.folder / "network.nir", self.folder / "imported"
        orthospike("export", out, "--nir", file)
        whole = file.read_bytes()
        self.assert_refused(orthospike("import", self.folder / "none.nir", "--out", imported), 1, "none.nir")
        self.assert_refused(orthospike("import", out / "weights.h5", "--out", imported), 1, "no NIR graph")
        for length in range(0, len(whole), len(whole) // 12):
            file.write_bytes(whole[:length])
            self.assert_refused(orthospike("import", file, "--out", imported), 1, str(file))
        for place in range(0, len(whole), len(whole) // 40):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1:])
            result = orthospike("import", file, "--out", imported)
            if result.returncode == 0:  # one of the weights
                shutil.rmtree(imported)
            else:
                self.assert_refused(result, 1, str(file))
            self.assertFalse(imported.exists())

    def test_inspect(self):
        out, run = self.finished_run()
        for place in (out, out / "run.h5"):
            text = orthospike("inspect", place).stdout
            self.assertIn("2 of 2 tasks", text)
            self.assertIn(next(line for line in run.stdout.splitlines() if line.startswith("after 2")), text)
            self.assertIn("hidden1_to_hidden2", text)
            self.assertIn("[optimiser]", text)
            self.assertRegex(text, r"(?m)^1 +input_to_hidden1 .* - +24\.0 ")  # the first task has no leak
            self.assertNotRegex(text, r"\bnan\b")
        shutil.copy(out / "run.h5", self.folder / "copy.h5")
        self.assertIn("\n2 of 2 tasks\n", orthospike("inspect", self.folder / "copy.h5").stdout)
        self.assert_refused(orthospike("inspect", self.folder / "none"), 1, "none")
        self.assert_refused(orthospike("inspect", self.folder), 1, str(self.folder))
        self.assert_refused(orthospike("inspect", CONFIG), 1, "HDF5")

    def test_damaged_run_files_are_refused(self):
        out, _ = self.finished_run()
        whole = (out / "run.h5").read_bytes()
        damaged = self.folder / "damaged.h5"
        for length in range(0, len(whole), len(whole) // 40):
            damaged.write_bytes(whole[:length])
            self.assert_refused(orthospike("inspect", damaged), 1, str(damaged))
        for place in range(10, len(whole), len(whole) // 60):
            damaged.write_bytes(whole[:place] + b"\xff" * 16 + whole[place + 16:])
            self.assertIn(orthospike("inspect", damaged).returncode, (0, 1))

    def test_one_program_writes_a_run_folder(self):
        out = self.folder / "run"
        settings = ["run", CONFIG, "--out", out, "--tasks.count=1", SERIAL]
        process = subprocess.Popen([BINARY, *map(str, settings), "--tasks.epochs=500"], cwd=SOURCE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            process.stdout.readline()
            self.assert_refused(orthospike(*settings), 1, str(out), f"process {process.pid}", str(out / "lock"))
            # Of a program that was killed nothing stands in the way.
            process.kill()
            process.wait()
            self.assertTrue((out / "lock").exists())
            self.assertEqual(orthospike(*settings).returncode, 0)
            self.assertEqual(sorted(path.name for path in out.iterdir()), ["run.h5", "weights.h5"])
        finally:
            process.kill()
            process.communicate()

    def test_a_killed_run_leaves_no_run_file(self):
        out = self.folder / "killed"
        process = subprocess.Popen([BINARY, "run", CONFIG, "--out", out, "--tasks.epochs=500", SERIAL], cwd=SOURCE,
                                   stdout=subprocess.DEVNULL)
        partial = out / "run.partial.h5"
        deadline = time.time() + 300
        while not partial.exists() and time.time() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual(sorted(path.name for path in out.iterdir()), ["lock", partial.name])
        self.assertIn("unfinished", orthospike("inspect", out).stdout)
        whole = partial.read_bytes()
        flushed = int.from_bytes(whole[28:36], "little")  # the length that the superblock says
        for length in range(0, flushed, flushed // 40):
            partial.write_bytes(whole[:length])
            self.assert_refused(orthospike("inspect", out), 1, str(partial))
        self.assertEqual(orthospike("run", CONFIG, "--out", out, *QUICK).returncode, 0)
        self.assertEqual(sorted(path.name for path in out.iterdir()), ["run.h5", "weights.h5"])

    def test_a_killed_run_is_tested_as_of_its_last_finished_task(self):
        out = self.folder / "killed"
        process = subprocess.Popen([BINARY, "run", CONFIG, "--out", out, "--tasks.count=40", "--hlop.ranks=1",
                                    *QUICK[1:]], cwd=SOURCE, stdout=subprocess.DEVNULL)
        deadline = time.time() + 300
        while not (out / "weights.h5").exists() and time.time() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        text, summary = self.evaluate(out)
        task = int(re.search(r"after (\d+) of 40 tasks", text)[1])
        run = orthospike("inspect", out).stdout
        done = int(re.search(r"(\d+) of 40 tasks, unfinished", run)[1])
        self.assertIn(task, (done, done + 1))  # the run file counts the task once its weights are there
        self.assertEqual(len(summary["accuracies"]), 40)
        if task == done:
            self.assertEqual([f"{100 * share:.2f}" for share in summary["accuracies"]],
                             self.percents(run, f"after {task}"))

    def test_others_read_while_the_run_goes_on(self):
        out = self.folder / "live"
        process = subprocess.Popen([BINARY, "run", CONFIG, "--out", out, "--tasks.count=40",
                                    "--hlop.ranks=1", *QUICK[1:]], cwd=SOURCE, stdout=subprocess.DEVNULL)
        try:
            deadline = time.time() + 300
            seen = 0
            while seen < 2 and time.time() < deadline and process.poll() is None:
                time.sleep(0.05)
                if (out / "run.partial.h5").exists():
                    match = re.search(r"(\d+) of 40 tasks, unfinished", orthospike("inspect", out).stdout)
                    seen = int(match[1]) if match else seen
            self.assertGreaterEqual(seen, 2)
        finally:
            process.kill()
            process.wait()

    def test_a_full_disk_is_one_sentence(self):
        def limit_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

        out = self.folder / "full"
        # After a failed write the HDF5 library itself keeps some memory, which is not what is tested here.
        without_leak_check = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
        result = orthospike("run", CONFIG, "--out", out, *QUICK, preexec_fn=limit_files, env=without_leak_check)
        self.assert_refused(result, 1, "run.partial.h5")
        self.assertFalse((out / "run.h5").exists())
        # What was written before stays readable.
        self.assertIn("\n0 of 2 tasks, unfinished\n", orthospike("inspect", out).stdout)
        with open("/dev/full", "w") as full:
            result = subprocess.run([BINARY, "help", "config"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assert_refused(result, 1, "standard output")

    def test_unwritable_folder(self):
        (self.folder / "file").write_text("")
        self.assert_refused(orthospike("run", CONFIG, "--out", self.folder / "file/out"), 1, "file/out")

    def test_a_terminal_gets_a_bar(self):
        shown = self.shown_on_a_terminal("run", CONFIG, "--out", self.folder / "bar", *QUICK)
        self.assertRegex(shown, r"\r\[#{24}\] task 2/2")


MPIRUN = shutil.which("mpirun")


@unittest.skipUnless(MPIRUN, "there is no mpirun")
class Ranks(Program):
    """Runs of several ranks."""

    # Of MPI itself memory is left when a rank ends.
    ENVIRONMENT = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    LONG = ["--tasks.count=2", "--tasks.epochs=200", "--hlop.ranks=5", "--run.checkpoint_batches=20", SERIAL]

    def command(self, count, *arguments):
        return [MPIRUN, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(count), BINARY,
                *map(str, arguments)]

    def ranks(self, count, *arguments):
        return subprocess.run(self.command(count, *arguments), capture_output=True, text=True, errors="replace",
                              timeout=300, cwd=SOURCE, env=self.ENVIRONMENT)

    def setUp(self):
        super().setUp()
        result = self.ranks(2, "run")
        if "built without MPI" in result.stderr:
            self.skipTest("the program was built without MPI")

    def sentences(self, result):
        return [line for line in result.stderr.splitlines() if line.startswith("orthospike: ")]

    def start(self, *command):
        process = subprocess.Popen(command, cwd=SOURCE, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.ENVIRONMENT)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def assert_one_goes_on(self, out):
        """Without mpirun, from the checkpoint."""
        process = self.start(BINARY, "run", CONFIG, "--out", out, *self.LONG)
        line = process.stdout.readline()
        self.assertIn("goes on", line, line or process.stderr.readline())

    def begin(self, out):
        """A long run of two ranks, when it has a checkpoint."""
        process = self.start(*self.command(2, "run", CONFIG, "--out", out, *self.LONG))
        deadline = time.time() + 300
        while not (out / "checkpoint.h5").exists() and time.time() < deadline and process.poll() is None:
            time.sleep(0.02)
        return process

    def end(self, process):
        """What it wrote to stderr."""
        return process.communicate(timeout=20)[1]

    def test_ranks_share_clients(self):
        """Their turns differ in length, and of the last ones a rank has none."""
        clients = ["--federated.clients=4", "--federated.local_epochs=2", "--tasks.train_samples=301", "--training.batch_size=25",
                   "--tasks.count=2", "--hlop.ranks=5", SERIAL]
        accuracies = []
        for count in (1, 3):
            result = self.ranks(count, "run", CONFIG, "--out", self.folder / f"of {count}", *clients, "--tasks.epochs=6")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertRegex(result.stdout, r"task 2/2  round 3  client 4/4")
            accuracies.append(json.loads(result.stdout.splitlines()[-1])["acc"])
        self.assertAlmostEqual(*accuracies, delta=0.02)
        out = self.folder / "stopped"
        process = self.start(*self.command(3, "run", CONFIG, "--out", out, *clients, "--tasks.epochs=2000"))
        while "round 2 " not in (line := process.stdout.readline()) and line:
            pass
        process.send_signal(signal.SIGUSR1)
        self.assertIn("the same command goes on from there", self.end(process))
        self.assertEqual(process.returncode, 75)
        process = self.start(BINARY, "run", CONFIG, "--out", out, *clients, "--tasks.epochs=2000")
        self.assertRegex(process.stdout.readline(), r"goes on after (client|round)")

    def test_ranks_find_what_one_finds(self):
        one = json.loads(self.finished_run()[1].stdout.splitlines()[-1])
        for count in (2, 3):
            out = self.folder / f"of {count}"
            result = self.ranks(count, "run", CONFIG, "--out", out, *QUICK)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual(sorted(path.name for path in out.iterdir()), ["run.h5", "weights.h5"])
            self.assertEqual(result.stdout.count("\nafter 2"), 1)
            self.assertRegex(result.stdout, rf"(?m)^{count} ranks: each sent \S+ MB a batch")
            self.assertNotIn("\r[", result.stdout)
            summary = json.loads(result.stdout.splitlines()[-1])
            self.assertAlmostEqual(summary["acc"], one["acc"], delta=0.02)
            text = orthospike("inspect", out).stdout
            self.assertRegex(text, r"(?m)^2 of 2 tasks$")
            again = self.ranks(2, "run", CONFIG, "--out", out, *QUICK)
            self.assertEqual(again.returncode, 0)
            self.assertEqual(again.stdout.count("finished already"), 1)

    def test_other_ranks_go_on_after_a_signal(self):
        out = self.folder / "run"
        process = self.begin(out)
        process.send_signal(signal.SIGUSR1)
        error = self.end(process)
        self.assertEqual(process.returncode, 75, error)
        self.assertEqual(error.count("the same command goes on from there"), 1)
        self.assertEqual(list(self.folder.glob("run/lock")), [])
        # mpirun itself ends with 1 where it is terminated.
        process = self.start(*self.command(3, "run", CONFIG, "--out", out, *self.LONG))
        self.assertIn("goes on", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        self.end(process)
        self.assertNotEqual(process.returncode, 0)
        self.assert_one_goes_on(out)

    def test_a_killed_rank_ends_the_run(self):
        for place in (0, 1):
            out = self.folder / f"run of {place}"
            process = self.begin(out)
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            self.assertEqual(len(children), 2)
            os.kill(int(children[place]), signal.SIGKILL)
            error = self.end(process)
            self.assertNotIn(process.returncode, (0, 75))
            self.assertRegex(error, r"exited on signal 9")
            self.assert_one_goes_on(out)

    def test_an_error_of_all_is_one_sentence(self):
        result = self.ranks(3, "run", CONFIG, "--tasks.cuont=2")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(len(self.sentences(result)), 1, result.stderr)
        result = self.ranks(2, "run", CONFIG, "--out", self.folder / "nan", *QUICK, "--optimiser.learning_rate=1e30")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(self.sentences(result)), 1, result.stderr)
        (self.folder / "locked").mkdir()
        (self.folder / "locked/lock").write_text("?")
        result = self.ranks(2, "run", CONFIG, "--out", self.folder / "locked", *QUICK)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(self.sentences(result)), 1, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
