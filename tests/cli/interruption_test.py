"""Ends runs of the orthospike binary in every way and goes on with them: with the same numbers, to the bit, as without.
Usage: interruption_test.py BINARY SOURCE_FOLDER DIFFERENT_NUMBERS TRIALS"""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from command import BINARY, SOURCE, Command, orthospike

DIFFERENT_NUMBERS = pathlib.Path(sys.argv[3]).resolve()
TRIALS, MOST_SECONDS = int(sys.argv[4]), 150  # of what chance has a part in
# A checkpoint every few batches, so that kills hit them, and replay.
SMALL = """
[data]
name = optdigits
path = tests/data
[tasks]
count = 3
epochs = 2
train_samples = 320
test_samples = 100
[network]
hidden = 32,32
[protection]
name = hlop+replay
[hlop]
ranks = 8; 4
[replay]
epochs = 4
[metrics]
quality_samples = 64
[record]
variables = spikes, potential
neurons = random 5
samples = random 6
phase = both
[run]
device = cpu
checkpoint_batches = 4
threads = 1
"""
INTERRUPTED = 75
SHARED = tempfile.TemporaryDirectory()
CONFIG = pathlib.Path(SHARED.name) / "small.ini"
RESULTS = ["report-potential.h5", "run.h5", "spikes.h5", "weights.h5"]
# After a failed write the HDF5 library itself keeps some memory, which is not what is tested here.
WITHOUT_LEAK_CHECK = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}


def run(out, *settings):
    return orthospike("run", CONFIG, "--out", out, *settings, env=WITHOUT_LEAK_CHECK)


def start(out, *settings):
    return subprocess.Popen([BINARY, "run", CONFIG, "--out", out, *settings], cwd=SOURCE, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_for(condition, process):
    deadline = time.time() + 300
    while not condition() and process.poll() is None and time.time() < deadline:
        time.sleep(0.002)


class Interruption(Command):
    @classmethod
    def setUpClass(cls):
        CONFIG.write_text(SMALL)
        cls.whole = CONFIG.parent / "whole"
        began = time.time()
        result = run(cls.whole)
        assert result.returncode == 0, result.stderr
        cls.seconds = time.time() - began

    def assert_same(self, out, whole=None):
        """The run has ended, and as the one without interruption did."""
        self.assertEqual(names(out), RESULTS)
        for name in RESULTS:
            result = subprocess.run([DIFFERENT_NUMBERS, (whole or self.whole) / name, out / name], capture_output=True,
                                    text=True)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""), name)

    def assert_ends(self, out, *settings, whole=None, warnings=()):
        """The same command ends the run; what it says first."""
        result = run(out, *settings)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr.count("\n"), len(warnings), result.stderr)
        for warning in warnings:
            self.assertIn(warning, result.stderr)
        self.assert_same(out, whole)
        return result.stdout.splitlines()[0]

    def assert_interrupted(self, process, number):
        """It said so; where."""
        _, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, INTERRUPTED, errors)
        sentence = re.fullmatch(
            rf"orthospike: interrupted (.*) \(signal {number}\); the same command goes on from there\n", errors)
        self.assertIsNotNone(sentence, errors)
        return sentence[1]

    def interrupted_late(self):
        """A run that ended in its last task, with two checkpoints."""
        out = self.folder / "late"
        process = start(out)
        for line in process.stdout:
            if line.startswith("after 2"):
                break
        process.send_signal(signal.SIGTERM)
        self.assertIn("task 3", self.assert_interrupted(process, 15))
        self.assertEqual(names(out), ["checkpoint.h5", "checkpoint.previous.h5", "report-potential.partial.h5",
                                      "run.partial.h5", "spikes.partial.h5", "weights.h5"])
        return out

    def copy_of(self, folder):
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        return copy

    def test_kills(self):
        seed = random.SystemRandom().randrange(2**32)
        moments = random.Random(seed)
        deadline = time.time() + MOST_SECONDS
        kills = runs = 0
        with self.subTest(seed=seed):
            while kills < TRIALS and time.time() < deadline:
                out = self.folder / f"run{runs}"
                runs += 1
                while True:
                    process = start(out)
                    time.sleep(moments.uniform(0, self.seconds))
                    process.kill()
                    _, errors = process.communicate()
                    if process.returncode != -signal.SIGKILL:
                        break
                    kills += 1
                    # What is there can be looked at, or one sentence says why not.
                    looked = orthospike("inspect", out)
                    if looked.returncode != 0:
                        self.assert_refused(looked, 1, str(out))
                self.assertEqual(process.returncode, 0, errors)
                self.assertNotIn("damaged", errors)
                if "lock" in names(out):  # killed at its very end
                    self.assertIn("finished already", run(out).stdout)
                self.assert_same(out)
                shutil.rmtree(out)
        print(f"{kills} kills, {runs} runs", file=sys.stderr)

    def test_a_kill_between_the_last_steps(self):
        process = start(self.folder / "killed")
        wait_for((self.folder / "killed/run.partial.h5").exists, process)
        process.kill()
        process.communicate()
        lock = (self.folder / "killed/lock").read_text()
        for left in (["lock"], ["checkpoint.h5", "checkpoint.previous.h5", "lock"], ["checkpoint.partial.h5"]):
            out = self.copy_of(self.whole)
            for name in left:
                (out / name).write_text(lock if name == "lock" else "?")
            self.assertIn("finished already", run(out).stdout)
            self.assert_same(out)

    def test_a_kill_between_the_names_of_checkpoints(self):
        late = self.interrupted_late()
        out = self.copy_of(late)
        (out / "checkpoint.previous.h5").unlink()
        (out / "checkpoint.h5").rename(out / "checkpoint.previous.h5")
        self.assertIn("checkpoint.previous.h5", self.assert_ends(out))
        out = self.copy_of(late)
        (out / "checkpoint.partial.h5").write_bytes((out / "checkpoint.h5").read_bytes()[:5000])
        self.assertIn("checkpoint.h5", self.assert_ends(out))

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            with self.subTest(number):
                out = self.folder / number.name
                process = start(out)
                wait_for((out / "checkpoint.h5").exists, process)
                process.send_signal(number)
                place = self.assert_interrupted(process, int(number))
                self.assertIn("task 1", place)
                self.assertIn("unfinished", orthospike("inspect", out).stdout)
                self.assertEqual(self.assert_ends(out), f"goes on {place} ({out / 'checkpoint.h5'})")

    def test_a_second_interrupt_ends_at_once(self):
        out = self.folder / "run"
        slow = ["--neuron.steps=3000", "--training.batch_size=320", "--tasks.count=1"]  # batches that last
        process = start(out, *slow)
        wait_for((out / "run.partial.h5").exists, process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertIn("lock", names(out))
        result = run(out, *slow)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(names(out), RESULTS)

    def test_everywhere_and_with_other_threads(self):
        replays = "--replay.epochs=20"  # most of the time
        whole = self.folder / "whole"
        began = time.time()
        self.assertEqual(run(whole, replays).returncode, 0)
        length = time.time() - began
        all_places = []
        for attempt in range(5):  # other work changes how far a run gets
            out, places = self.folder / f"run{attempt}", []
            while True:
                process = start(out, replays, f"--run.threads={1 + len(places) % 2}")
                time.sleep(length * (0.2 + 0.1 * ((len(places) + attempt) % 3)))
                process.terminate()
                _, errors = process.communicate()
                if process.returncode == 0:
                    break
                if process.returncode != -signal.SIGTERM:  # before it listens
                    self.assertEqual(process.returncode, INTERRUPTED, errors)
                    places.append(re.search(r"interrupted (.*) \(signal", errors)[1])
            self.assert_same(out, whole)
            all_places += places
            if len(places) > 1 and re.search(r"epoch \d+ of the replay after task [23]", " ".join(all_places)):
                return
        self.fail(f"interrupted only {all_places}")

    def test_a_signal_in_the_first_evaluation(self):
        slow = ["--neuron.steps=100"]
        whole, out = self.folder / "whole", self.folder / "run"
        self.assertEqual(run(whole, *slow).returncode, 0)
        process = start(out, *slow)
        wait_for((out / "run.partial.h5").exists, process)
        process.terminate()
        self.assertEqual(self.assert_interrupted(process, 15), "before any training")
        self.assertIn("goes on before any training", self.assert_ends(out, *slow, whole=whole))

    def test_a_signal_while_data_are_read(self):
        interrupted = 0
        for part in range(1, 11):
            out = self.folder / f"run{part}"
            process = start(out)
            time.sleep(self.seconds * part / 40)
            process.terminate()
            process.communicate()
            self.assertIn(process.returncode, (-signal.SIGTERM, INTERRUPTED))
            interrupted += process.returncode == INTERRUPTED
            self.assert_ends(out)
        self.assertGreater(interrupted, 0)

    def test_changed_keys_are_refused(self):
        out = self.interrupted_late()
        (out / "error.txt").write_text("It failed once.\n")
        before = content(out)
        changed = run(out, "--tasks.epochs=3", "--optimiser.learning_rate=0.3", "--run.threads=2")
        self.assert_refused(changed, 2, str(out), "tasks.epochs 2 → 3", "optimiser.learning_rate 0.1 → 0.3",
                            "--restart")
        self.assertNotIn("run.threads", changed.stderr)
        self.assert_refused(run(out, "--protection.name=none", "--hlop.ranks=3"), 2, "hlop.ranks")
        self.assertEqual(content(out), before)
        self.assertIn("goes on", self.assert_ends(out))
        self.assertFalse((out / "error.txt").exists())

    def test_restart(self):
        out = self.copy_of(self.interrupted_late())
        self.assertNotIn("goes on", self.assert_ends(out, "--restart"))
        self.assertNotIn("goes on", self.assert_ends(out, "--restart"))
        other = self.folder / "late"
        self.assertEqual(run(other, "--restart", "--tasks.epochs=1").returncode, 0)
        self.assert_refused(run(other), 2, "tasks.epochs 1 → 2")

    def test_two_programs(self):
        for attempt in range(5):
            out = self.folder / f"run{attempt}"
            programs = [start(out), start(out)]
            errors = [program.communicate()[1] for program in programs]
            codes = [program.returncode for program in programs]
            self.assertIn(sorted(codes), ([0, 0], [0, 1]), errors)  # the second may come when the first has ended
            if 1 in codes:
                self.assertRegex(errors[codes.index(1)], r"process \d+ on \S+ writes this run")
            self.assert_same(out)

    def damages(self, whole):
        """Of a file's bytes, with words that say what was done."""
        seed = random.SystemRandom().randrange(2**32)
        places = random.Random(seed)
        for length in [0, 1, len(whole) - 1] + [places.randrange(len(whole)) for _ in range(TRIALS // 4)]:
            yield f"seed {seed}, cut to {length}", whole[:length]
        for _ in range(100):
            place, flips, length = places.randrange(len(whole)), places.randrange(1, 256), places.choice([1, 1, 2, 512])
            changed = bytes(byte ^ flips for byte in whole[place:place + length])
            damaged = whole[:place] + changed + whole[place + length:]
            yield f"seed {seed}, {length} bytes from {place} on xor {flips}", damaged

    def test_damaged_checkpoints(self):
        late = self.interrupted_late()
        for what, damaged in self.damages((late / "checkpoint.h5").read_bytes()):
            with self.subTest(what):
                out = self.copy_of(late)
                (out / "checkpoint.h5").write_bytes(damaged)
                result = run(out)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertRegex(result.stderr, r"\Aorthospike: warning: \S+/checkpoint.h5: [^\n]+; the older "
                                 r"\S+/checkpoint.previous.h5 is used\n\Z")
                self.assert_same(out)

    def test_damaged_checkpoints_without_an_older_one(self):
        late = self.interrupted_late()
        (late / "checkpoint.previous.h5").unlink()
        for what, damaged in list(self.damages((late / "checkpoint.h5").read_bytes()))[::3]:
            with self.subTest(what):
                out = self.copy_of(late)
                (out / "checkpoint.h5").write_bytes(damaged)
                before = content(out)
                result = run(out)
                self.assert_refused(result, 1, str(out / "checkpoint.h5"), "no older checkpoint", "--restart")
                self.assertEqual(content(out), before | {"error.txt": result.stderr.removeprefix("orthospike: ").encode()})
        self.assertNotIn("goes on", self.assert_ends(out, "--restart"))

    def test_a_damaged_checkpoint_takes_no_place(self):
        """At the next checkpoint it would push out the older one, which a kill then would leave nothing of."""
        out = self.interrupted_late()
        (out / "checkpoint.h5").write_bytes(b"?" * 5000)
        older = (out / "checkpoint.previous.h5").read_bytes()
        process = start(out)
        process.stdout.readline()  # goes on
        process.kill()
        process.communicate()
        self.assertTrue(older in content(out).values())
        self.assert_ends(out)

    def mounted(self, size):
        folder = self.folder / "disk"
        folder.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True,
                                 text=True)
        if mounted.returncode != 0:
            self.skipTest(f"no file system can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        return folder

    def test_a_full_disk(self):
        disk = self.mounted("8m")
        late, filler = self.interrupted_late(), disk / "filler"
        refused = set()
        for free in [0, 4, 8, 16, 32, 64, 128, 192, 256, 320, 384, 448, 512, 768]:  # KiB
            with self.subTest(free=free):
                out, new = disk / "run", disk / "new"
                shutil.copytree(late, out)
                new.mkdir()
                with open(filler, "wb", buffering=0) as stream:
                    left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
                    os.posix_fallocate(stream.fileno(), 0, left - 1024 * free)
                for folder in (out, new):
                    result = run(folder)
                    if result.returncode == 0:
                        continue
                    self.assert_refused(result, 1, str(folder), "No space left" if free < 4 else "")
                    refused.add(re.search(rf"{folder}/?(\w*)", result.stderr)[1])
                filler.unlink()
                self.assertEqual(run(new).returncode, 0)
                self.assert_same(new)
                self.assertEqual(run(out).returncode, 0)
                self.assert_same(out)
                shutil.rmtree(out)
                shutil.rmtree(new)
        # Of the folder itself, that it has no room for the recording.
        self.assertLessEqual({"lock", "checkpoint", ""}, refused)

    def test_a_read_only_folder(self):
        disk = self.mounted("8m")
        shutil.copytree(self.interrupted_late(), disk / "late")
        shutil.copytree(self.whole, disk / "whole")
        before = content(disk / "late")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        self.assert_refused(run(disk / "late"), 1, str(disk / "late"), "Read-only file system")
        self.assert_refused(run(disk / "new"), 1, str(disk / "new"), "Read-only file system")
        self.assertIn("finished already", run(disk / "whole").stdout)
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        self.assertEqual(content(disk / "late"), before)
        self.assertIn("goes on", self.assert_ends(disk / "late"))

    def test_numbers_that_are_not_finite(self):
        for setting, *words in (["--replay.learning_rate=1e38", "in task 2: ", "batch", "_to_", "replay.learning_rate"],
                                ["--optimiser.learning_rate=1e38", "in task 1: ", "batch", "_to_",
                                 "optimiser.learning_rate"],
                                ["--hebbian.learning_rate=1e38", "in task 1: the subspace of input_to_hidden1",
                                 "after batch", "hebbian.learning_rate"]):
            with self.subTest(setting):
                out = self.folder / setting
                self.assert_refused(run(out, setting), 1, *words)
                before = content(out)
                again = run(out, setting)
                self.assert_refused(again, 1, *words)
                self.assertNotIn("damaged", again.stderr)
                if "task 2" in words[0]:
                    self.assertIn("goes on", again.stdout)
                    self.assertIn("checkpoint.previous.h5", before)
                for name, its in content(out).items():
                    if name.startswith("checkpoint"):
                        self.assertEqual(its, before[name])

    def test_output_that_nobody_takes(self):
        out = self.folder / "run"
        process = start(out)
        process.stdout.readline()
        process.stdout.close()
        _, errors = process.communicate()
        self.assertEqual(process.returncode, INTERRUPTED, errors)
        self.assertRegex(errors, r"\Aorthospike: interrupted [^\n]+ \(signal 13\); [^\n]+\n\Z")
        self.assertIn("goes on", self.assert_ends(out))

        out = self.folder / "silent"
        process = start(out)
        process.stdout.readline()
        process.stdout.close()
        process.stderr.close()
        self.assertEqual(process.wait(), INTERRUPTED)
        self.assertIn("goes on", self.assert_ends(out))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
