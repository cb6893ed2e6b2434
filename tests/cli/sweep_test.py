"""Drives `orthospike sweep` as a user would. Usage: sweep_test.py BINARY SOURCE_FOLDER"""

import csv
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import unittest

from command import BINARY, SMALL_DIGITS, SOURCE, Command, orthospike

BASE = SMALL_DIGITS + """[tasks]
count = 2
train_samples = 320
test_samples = 100
held_back_samples = 200
[network]
hidden = 32
"""


class Sweep(Command):
    def sweep(self, text, base=BASE):
        """A sweep file; its runs go to self.out."""
        (self.folder / "base.ini").write_text(base)
        file = self.folder / "s.ini"
        self.out = self.folder / "runs"
        file.write_text(f"[sweep]\nconfig = base.ini\nout = {self.out}\n{text}")
        return file

    def small_sweep(self):
        return self.sweep("seeds = 1-2\n[vary]\nleaky.lambda = 0.1 | 10\n")

    def run_sweep(self, file, *arguments, code=0):
        result = orthospike("sweep", "run", file, *arguments)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout, json.loads(result.stdout.splitlines()[-1])

    def states(self, file):
        """By number of the point, as `status` shows them; its JSON; and all that it shows."""
        result = orthospike("sweep", "status", file)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        states = re.findall(r"(?m)^\d+  +(\w+) ", result.stdout)
        return states, json.loads(result.stdout.splitlines()[-1]), result.stdout

    def start(self, file, *arguments):
        process = subprocess.Popen([BINARY, "sweep", "run", file, *arguments], cwd=SOURCE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        return process

    def wait_for(self, condition, seconds=120):
        deadline = time.time() + seconds
        while not condition():
            self.assertLess(time.time(), deadline)
            time.sleep(0.01)

    def lock_text(self, pid):
        start = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}\n{boot}\n{pid}\n{start}\n"

    def test_usage(self):
        file = self.small_sweep()
        self.assert_refused(orthospike("sweep"), 2, "plan, run, slurm, status, collect")
        self.assert_refused(orthospike("sweep", "rnu", file), 2, "plan, run")
        self.assert_refused(orthospike("sweep", "run"), 2, "sweep file is missing")
        self.assert_refused(orthospike("sweep", "run", "/nonexistent.ini"), 2, "/nonexistent.ini")
        self.assert_refused(orthospike("sweep", "run", file, "--jobs=0"), 2, "--jobs: '0'")
        self.assert_refused(orthospike("sweep", "run", file, "--jobs"), 2, "--jobs needs a value")
        self.assert_refused(orthospike("sweep", "run", file, "--point=5"), 2, "4 points, no point 5")
        self.assert_refused(orthospike("sweep", "plan", file, "--jobs=2"), 2, "'--jobs=2'")
        self.assert_refused(orthospike("sweep", "run", file, file), 2, "unexpected word")
        self.assert_refused(orthospike("sweep", "collect", file), 1, "no point of the sweep is done")
        self.assertFalse(self.out.exists())
        self.assertIn("\nsweep.choose_by\n", orthospike("help", "sweep").stdout)
        self.assertIn("Usage:", orthospike("sweep", "run", "--help").stdout)
        self.assert_refused(orthospike("run", self.folder / "base.ini", "--leaky.lambda=0.1,0.3"), 2, "use sweep")

    def test_every_point_is_checked_before_any_runs(self):
        file = self.sweep("[vary]\nleaky.lambda = 0.1 | 0.2 | x\n")
        for verb in (["plan"], ["run"], ["run", "--point=3"], ["slurm", "--dry-run"]):
            self.assert_refused(orthospike("sweep", verb[0], file, *verb[1:]), 2, f"{file}:5: leaky.lambda: 'x'")
        self.assertFalse(self.out.exists())

    def test_plan(self):
        file = self.sweep("seeds = 1-2\n[vary]\nleaky.lambda = 0.1 | 10\ntasks.epochs = 1 | 3\n")
        text = orthospike("sweep", "plan", file).stdout
        self.assertRegex(text, r"(?m)^point +leaky.lambda +tasks.epochs +experiment.seed +time$")
        self.assertRegex(text, r"(?m)^8 +10 +3 +2$")
        self.assertIn("a guess", text)
        work = 2 * 320 * (64 * 32 + 32 * 10) * 20 * (1 + 3) * 4
        self.assertIn(f"left: {work:.3g} samples", text)
        self.assertEqual(json.loads(text.splitlines()[-1]), {"points": 8, "done": 0, "seconds_left": None})
        self.assertFalse(self.out.exists())
        self.run_sweep(file, "--point=1")
        summary = json.loads(orthospike("sweep", "plan", file).stdout.splitlines()[-1])
        took = json.loads((next(self.out.iterdir()) / "log.txt").read_text().splitlines()[-1])["seconds"]
        self.assertEqual(summary["done"], 1)
        self.assertAlmostEqual(summary["seconds_left"] / took, 3 + 3 * 4, delta=0.01)
        base = BASE.replace(str(SOURCE), "/nonexistent")
        text = orthospike("sweep", "plan", self.sweep("seeds = 7-9\n", base)).stdout
        self.assertIn("no estimate of time: ", text)

    def test_a_sweep_runs_and_what_is_done_is_not_run_again(self):
        file = self.small_sweep()
        text, summary = self.run_sweep(file, "--jobs=2")
        self.assertEqual(summary, {"points": 4, "done": 4, "running": 0, "interrupted": 0, "failed": 0, "missing": 0,
                                   "folder": str(self.out)})
        self.assertEqual(text.count("\ndone  "), 4)
        self.assertNotIn("\x1b", text)
        names = [f"lambda={strength},seed={seed}" for strength in ("0.1", "10") for seed in (1, 2)]
        self.assertEqual(sorted(path.name for path in self.out.iterdir()), names)
        for name in names:
            self.assertEqual(sorted(path.name for path in (self.out / name).iterdir()),
                             ["log.txt", "run.h5", "weights.h5"])
        before = {path: path.stat().st_mtime_ns for path in self.out.rglob("*") if path.is_file()}
        text, again = self.run_sweep(file)
        self.assertEqual(again, summary)
        self.assertNotIn("started", text)
        self.assertEqual({path: path.stat().st_mtime_ns for path in self.out.rglob("*") if path.is_file()}, before)

        # The same runs as without sweep; and other points beside them.
        own = orthospike("run", self.folder / "base.ini", "--out", self.folder / "own", "--leaky.lambda=10",
                         "--experiment.seed=2")
        log = (self.out / names[3] / "log.txt").read_text()
        self.assertEqual(json.loads(log.splitlines()[-1])["acc"], json.loads(own.stdout.splitlines()[-1])["acc"])
        text, _ = self.run_sweep(self.sweep("seeds = 1-2\n[vary]\nleaky.lambda = 0.1 | 1 | 10\n"))
        self.assertEqual(text.count("started"), 2)

    def test_a_folder_of_another_config_is_refused(self):
        file = self.small_sweep()
        self.run_sweep(file, "--point=1")
        (self.folder / "base.ini").write_text(BASE.replace("train_samples = 320", "train_samples = 300"))
        for verb in ("plan", "run", "status", "collect", "slurm"):
            self.assert_refused(orthospike("sweep", verb, file), 2, "tasks.train_samples 320 → 300",
                                str(self.out), "--out")
        self.assertEqual(len(list(self.out.iterdir())), 1)
        self.run_sweep(file, "--point=1", f"--out={self.folder / 'other'}")

    def test_status_tells_the_states_from_the_folders(self):
        file = self.sweep("seeds = 1-7\n")
        self.run_sweep(file, "--point=1")
        folders = [self.out / f"seed={seed}" for seed in range(1, 8)]
        for folder in folders[1:6]:
            folder.mkdir()
        (folders[1] / "lock").write_text(self.lock_text(os.getpid()))
        (folders[2] / "error.txt").write_text("it broke\n")
        (folders[3] / "checkpoint.h5").write_text("")
        gone = subprocess.Popen(["sleep", "1000"])
        lock = self.lock_text(gone.pid)
        gone.kill()
        gone.wait()
        (folders[4] / "lock").write_text(lock)
        (folders[4] / "run.partial.h5").write_text("")
        (folders[5] / "lock").write_text(self.lock_text(os.getpid()).replace(socket.gethostname(), "elsewhere"))
        states, summary, text = self.states(file)
        self.assertEqual(states, ["done", "running", "failed", "interrupted", "interrupted", "running", "missing"])
        self.assertEqual(summary, {"points": 7, "done": 1, "running": 2, "interrupted": 2, "failed": 1, "missing": 1,
                                   "folder": str(self.out)})
        self.assertRegex(text, r"failed +seed=3 +it broke\n")
        self.assertRegex(text, rf"running +seed=2 +process {os.getpid()} on ")
        self.assertRegex(text, r"done +seed=1 +ACC \d+\.\d\d %\n")
        # Those that others run are left to them.
        (folders[3] / "checkpoint.h5").unlink()
        text, summary = self.run_sweep(file, "--jobs=2")
        self.assertEqual((summary["done"], summary["running"]), (5, 2))
        self.assertIn("2 run elsewhere", text)
        self.assertFalse((folders[1] / "log.txt").exists())
        self.assertFalse((folders[2] / "error.txt").exists())

    def test_collect(self):
        file = self.sweep("seeds = 1-3\n[vary]\nleaky.lambda = 0.001 | 1\n")
        self.run_sweep(file, "--jobs=2")
        result = orthospike("sweep", "collect", file)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(self.out / "sweep.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        self.assertEqual(len(rows), 6)
        by_setting = {}
        for row in rows:
            run = json.loads((self.out / row["folder"] / "log.txt").read_text().splitlines()[-1])
            for column, key in (("average_accuracy", "acc"), ("backward_transfer", "bwt"),
                                ("mean_forgetting", "forgetting"), ("seconds", "seconds"),
                                ("train_samples_per_second", "train_samples_per_second")):
                self.assertAlmostEqual(float(row[column]) / run[key] if run[key] else 1, 1, places=4)
            by_setting.setdefault(row["leaky.lambda"], []).append(run["acc"])
        with open(self.out / "sweep-means.csv", newline="") as stream:
            means = list(csv.DictReader(stream))
        self.assertEqual([row["leaky.lambda"] for row in means], ["0.001", "1"])
        for row in means:
            own = by_setting[row["leaky.lambda"]]
            self.assertAlmostEqual(float(row["average_accuracy_mean"]), statistics.mean(own), places=5)
            self.assertAlmostEqual(float(row["average_accuracy_deviation"]), statistics.stdev(own), places=5)
            self.assertIn(f"{100 * statistics.mean(own):.2f} ± {100 * statistics.stdev(own):.2f}", result.stdout)
        best = max(by_setting, key=lambda value: statistics.mean(by_setting[value]))
        summary = json.loads(result.stdout.splitlines()[-1])
        self.assertEqual((summary["done"], summary["best"]["leaky.lambda"]), (6, best))
        self.assertIn(f"best by average_accuracy on held-back samples: leaky.lambda = {best} with", result.stdout)
        self.assertTrue((self.out / "sweep.h5").read_bytes().startswith(b"\x89HDF"))

    def test_nothing_is_chosen_on_test_samples(self):
        file = self.sweep("[set]\ntasks.held_back_samples = 0\n[vary]\nleaky.lambda = 0.1 | 10\n")
        self.run_sweep(file, "--jobs=2")
        result = orthospike("sweep", "collect", file)
        self.assertEqual(result.returncode, 0)
        self.assertIsNone(json.loads(result.stdout.splitlines()[-1])["best"])
        self.assertIn("set tasks.held_back_samples", result.stdout)

    def test_two_workers_never_run_the_same_point(self):
        file = self.sweep("seeds = 1-16\n")
        workers = [self.start(file, "--jobs=2") for _ in range(2)]
        texts = [worker.communicate()[0] for worker in workers]
        self.assertEqual([worker.returncode for worker in workers], [0, 0], texts)
        logs = [(folder / "log.txt").read_text() for folder in self.out.iterdir()]
        self.assertEqual(len(logs), 16)
        for log in logs:
            self.assertEqual(log.count("\nafter 2"), 1, log)
        self.assertGreater(min(text.count("started") for text in texts), 0)

    def test_a_point_that_fails_takes_nothing_with_it(self):
        file = self.sweep("[vary]\ntasks.held_back_samples = 200 | 999999 | 300\n")
        result = orthospike("sweep", "run", file)
        summary = json.loads(result.stdout.splitlines()[-1])
        self.assertEqual((summary["done"], summary["failed"]), (2, 1))
        name = "held_back_samples=999999"
        sentence = (self.out / name / "error.txt").read_text().strip()
        self.assertIn("leave none to train on", sentence)
        self.assert_refused(result, 1, "1 of 3 points failed", name, sentence)
        self.assertIn(f"failed       {name}  {sentence}", result.stdout)
        states, _, text = self.states(file)
        self.assertEqual(states, ["done", "failed", "done"])
        self.assertIn(sentence, text)
        # It is tried again, and the others are not.
        again = orthospike("sweep", "run", file)
        self.assertEqual(again.returncode, 1)
        self.assertEqual(re.findall(r"started +(\S+)", again.stdout), [name])

    def test_a_run_that_cannot_begin_has_failed(self):
        file = self.sweep("seeds = 1-2\n", BASE.replace(str(SOURCE), "/nonexistent"))
        result = orthospike("sweep", "run", file)
        self.assert_refused(result, 1, "2 of 2 points failed", "/nonexistent")
        self.assertEqual(self.states(file)[0], ["failed", "failed"])

    def test_a_point_that_is_killed_has_failed(self):
        file = self.sweep("[vary]\ntasks.epochs = 5000 | 1\n")
        worker = self.start(file)
        lock = self.out / "epochs=5000" / "lock"
        self.wait_for(lambda: lock.exists() and len(lock.read_text().split()) == 4)
        os.kill(int(lock.read_text().split()[2]), signal.SIGKILL)
        self.assertEqual(worker.wait(), 1)
        self.assertIn("ended by signal 9", worker.stdout.read())
        self.assertEqual(self.states(file)[0], ["failed", "done"])

    def test_unwritable_folder(self):
        file = self.small_sweep()
        (self.folder / "file").write_text("")
        self.assert_refused(orthospike("sweep", "run", file, "--out", self.folder / "file/out"), 1, "file/out")
        self.run_sweep(file, "--point=1")
        (self.out / "sweep.csv.partial").mkdir()
        self.assert_refused(orthospike("sweep", "collect", file), 1, "sweep.csv")

    def test_an_interrupted_sweep_goes_on_with_the_same_command(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                file = self.sweep("[vary]\ntasks.epochs = 1 | 600 | 601 | 602\n")
                self.out = self.folder / str(number)
                worker = self.start(file, "--jobs=2", "--out", self.out)
                done = self.out / "epochs=1" / "run.h5"
                partials = [self.out / f"epochs={epochs}" / "run.partial.h5" for epochs in (600, 601)]
                self.wait_for(lambda: done.exists() and all(partial.exists() for partial in partials))
                worker.send_signal(number)
                self.assertEqual(worker.wait(), 75)
                text = worker.stdout.read()
                self.assertIn("the same command goes on", text)
                summary = json.loads(text.splitlines()[-1])
                self.assertEqual((summary["done"], summary["interrupted"], summary["missing"]), (1, 2, 1))
                states = re.findall(r"(?m)^\d+  +(\w+) ",
                                    orthospike("sweep", "status", file, "--out", self.out).stdout)
                self.assertEqual(states, ["done", "interrupted", "interrupted", "missing"])
                before = done.stat().st_mtime_ns
                text, summary = self.run_sweep(file, "--jobs=2", "--out", self.out)
                self.assertEqual(summary["done"], 4)
                self.assertNotIn("epochs=1 ", text)
                for partial in partials:
                    self.assertIn("\ngoes on ", (partial.parent / "log.txt").read_text())
                self.assertEqual(done.stat().st_mtime_ns, before)
                self.assertEqual(list(self.out.rglob("lock")), [])

    def test_children_of_a_killed_sweep_finish(self):
        file = self.sweep("[vary]\ntasks.epochs = 40\n")
        worker = self.start(file)
        self.wait_for(lambda: (self.out / "epochs=40" / "lock").exists())
        worker.kill()
        worker.wait()
        if not (self.out / "epochs=40" / "run.h5").exists():
            self.assertEqual(self.run_sweep(file)[1]["running"], 1)
        self.wait_for(lambda: (self.out / "epochs=40" / "run.h5").exists())
        self.assertEqual(self.run_sweep(file)[1]["done"], 1)

    def test_a_terminal_gets_a_table_drawn_in_place(self):
        file = self.small_sweep()
        shown = self.shown_on_a_terminal("sweep", "run", file, "--jobs=2")
        self.assertRegex(shown, r"\x1b\[\d+A\r\x1b\[Jdone +lambda=")
        self.assertIn("of 4 done, 0 failed", shown)

    def test_slurm(self):
        file = self.sweep("seeds = 1-2\n[zip]\nleaky.lambda = 0.1 | 10\ntasks.epochs = 1 | 3000\n")
        # Stand-ins for Slurm's programs, which write down what they are asked for.
        tools = self.folder / "tools"
        tools.mkdir()
        for name in ("sbatch", "scontrol"):
            (tools / name).write_text(f'#!/bin/sh\necho "$@" >> {tools}/{name}.txt\n')
            (tools / name).chmod(0o755)
        environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
        self.run_sweep(file, "--point=1")
        dry = orthospike("sweep", "slurm", file, "--at-most", 2, "--dry-run", env=environment)
        self.assertIn("#SBATCH --array=2-4%2\n", dry.stdout)
        self.assertFalse((tools / "sbatch.txt").exists())
        result = orthospike("sweep", "slurm", file, "--", "--time=1:00:00", "-p", "gpu", env=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        script = self.out / "sweep.sbatch"
        self.assertEqual(json.loads(result.stdout.splitlines()[-1]),
                         {"points": 4, "submitted": 3, "script": str(script)})
        self.assertEqual((tools / "sbatch.txt").read_text(), f"--time=1:00:00 -p gpu {script}\n")
        text = script.read_text()
        for line in ("--array=2-4", "--signal=B:USR1@120", "--requeue", "--open-mode=append"):
            self.assertIn(f"\n#SBATCH {line}\n", text)

        def element(number):
            return subprocess.Popen(["bash", script], cwd=self.folder, stdout=subprocess.DEVNULL,
                                    env=environment | {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_JOB_ID": "77"})
        self.assertEqual(element(2).wait(), 0)
        self.assertEqual(self.states(file)[0], ["done", "done", "missing", "missing"])

        # A signal before the time limit: the element goes back to the queue. After scancel it does not.
        for number, requeued in ((signal.SIGUSR1, True), (signal.SIGTERM, False)):
            process = element(4)
            self.wait_for(lambda: self.states(file)[0][3] == "running")
            process.send_signal(number)
            self.assertEqual(process.wait(), 0 if requeued else 75)
            self.assertEqual((tools / "scontrol.txt").exists(), requeued)
            if requeued:
                self.assertEqual((tools / "scontrol.txt").read_text(), "requeue 77_4\n")
                (tools / "scontrol.txt").unlink()

        (tools / "sbatch").write_text("#!/bin/sh\necho no such partition >&2\nexit 1\n")
        result = orthospike("sweep", "slurm", file, f"--out={self.folder / 'other'}", env=environment)
        self.assertEqual(result.returncode, 1)
        self.assertIn("orthospike: sbatch did not take the job array", result.stderr)
        result = orthospike("sweep", "slurm", file, f"--out={self.folder / 'other'}",
                            env=environment | {"PATH": "/nonexistent"})
        self.assert_refused(result, 1, "sbatch", "--dry-run")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
