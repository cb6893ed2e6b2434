"""One small experiment on the emulated device and on the CPU. Usage: experiment_test.py EMULATED CPU SOURCE_FOLDER"""

import pathlib
import re
import subprocess
import sys
import tempfile

EMULATED, CPU, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
# All training samples: they are sorted by class, so that the first few hundred teach nothing.
SMALL = ["--tasks.count=2", "--tasks.epochs=1", "--tasks.test_samples=300", "--network.hidden=32,32",
         "--neuron.steps=10", "--metrics.quality_samples=64", "--run.threads=1"]
BAND = 5  # per cent; spikes may differ where potentials round differently, and weights follow


def accuracies(binary, device):
    """The last accuracy table: one row after each task, one column a task, in per cent."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [binary, "run", "tests/data/digits.ini", "--out", folder, f"--run.device={device}", *SMALL],
            cwd=SOURCE, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(f"{binary.name} ended with {result.returncode}: {result.stderr}")
    table = result.stdout.rsplit("untrained", 1)[1]
    return [[float(value) for value in row.split()] for row in re.findall(r"^after \d+ +(.*)$", table, re.MULTILINE)]


emulated, cpu = accuracies(EMULATED, "cuda"), accuracies(CPU, "cpu")
print("emulated:", emulated, "cpu:", cpu)
assert len(emulated) == len(cpu) == 2, "a table has not two rows"
assert cpu[0][0] > 70, "the first task is not learned: nothing to compare"
for emulated_row, cpu_row in zip(emulated, cpu):
    assert len(emulated_row) == len(cpu_row) == 2, "a row has not two tasks"
    for a, b in zip(emulated_row, cpu_row):
        assert abs(a - b) <= BAND, f"accuracies {a} and {b} differ by more than {BAND}"
