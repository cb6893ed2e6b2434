#!/usr/bin/env python3
"""Times batch_benchmark with one thread and with more while other programs keep the processors busy.

    tests/benchmarks/beside_others.py [--threads 1,2] [--busy 0,1,2,4] [--runs 5] PROGRAM... -- CONFIG [--section.key=value ...]

PROGRAM is build/tests/batch_benchmark, or several builds of it to compare: all take turns, so that a change of the
machine's speed meets all alike. Prints the median over the runs of the mean training batch and of the test batch, in
milliseconds; a mean, because beside other programs a few batches take most of the time.
"""

import argparse
import statistics
import subprocess
import sys


def batch_ms(program, arguments, threads):
    """(training, test): mean milliseconds a batch."""
    output = subprocess.run([program, *arguments, f"--run.threads={threads}"], check=True, capture_output=True,
                            text=True).stdout.splitlines()
    names = next(line for line in output if line.startswith("task")).split(" ms")
    means = dict(zip((name.split()[-1] for name in names), output[-1].split()[1:]))
    return float(means["mean"]), float(means["test"])


def main():
    if "--" not in sys.argv:
        sys.exit(__doc__)
    split = sys.argv.index("--")
    parser = argparse.ArgumentParser(usage=__doc__)
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--busy", type=numbers, default=[0, 1, 2, 4])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("programs", nargs="+")
    options = parser.parse_args(sys.argv[1:split])
    print(f"{'busy':>4} {'threads':>7} {'train ms':>9} {'test ms':>8}  program")
    for busy in options.busy:
        others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(busy)]
        try:
            figures = {}
            for _ in range(options.runs):
                for program in options.programs:
                    for threads in options.threads:
                        figures.setdefault((threads, program), []).append(
                            batch_ms(program, sys.argv[split + 1:], threads))
        finally:
            for other in others:
                other.kill()
        for (threads, program), runs in figures.items():
            train, test = (statistics.median(values) for values in zip(*runs))
            print(f"{busy:>4} {threads:>7} {train:>9.2f} {test:>8.2f}  {program}", flush=True)


if __name__ == "__main__":
    main()
