"""One small experiment on the emulated device and on the CPU. Usage: experiment_test.py EMULATED CPU SOURCE_FOLDER"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

EMULATED, CPU, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
# All training samples: they are sorted by class, so that the first few hundred teach nothing.
SMALL = ["--tasks.count=2", "--tasks.epochs=1", "--tasks.test_samples=300", "--network.hidden=32,32",
         "--neuron.steps=10", "--metrics.quality_samples=64", "--run.threads=1"]
BAND = 5  # per cent; spikes may differ where potentials round differently, and weights follow


def accuracies(binary, device, interrupted=False):
    """The last accuracy table: one row after each task, one column a task, in per cent."""
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "run", "tests/data/digits.ini", "--out", folder, f"--run.device={device}", *SMALL]
        if interrupted:
            with subprocess.Popen([*command, "--run.checkpoint_batches=35"], cwd=SOURCE,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
                while run.poll() is None and not pathlib.Path(folder, "checkpoint.h5").exists():
                    time.sleep(0.01)
                run.kill()
        result = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(f"{binary.name} ended with {result.returncode}: {result.stderr}")
        assert not interrupted or "goes on after batch" in result.stdout, "the run was not interrupted"
    table = result.stdout.rsplit("untrained", 1)[1]
    return [[float(value) for value in row.split()] for row in re.findall(r"^after \d+ +(.*)$", table, re.MULTILINE)]


emulated, cpu = accuracies(EMULATED, "cuda"), accuracies(CPU, "cpu")
assert accuracies(EMULATED, "cuda", interrupted=True) == emulated, "a killed run does not end as one that was not"
print("emulated:", emulated, "cpu:", cpu)
assert len(emulated) == len(cpu) == 2, "a table has not two rows"
assert cpu[0][0] > 70, "the first task is not learned: nothing to compare"
for emulated_row, cpu_row in zip(emulated, cpu):
    assert len(emulated_row) == len(cpu_row) == 2, "a row has not two tasks"
    for a, b in zip(emulated_row, cpu_row):
        assert abs(a - b) <= BAND, f"accuracies {a} and {b} differ by more than {BAND}"
