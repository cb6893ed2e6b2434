#!/usr/bin/env python3
"""Prints registers, shared memory and spills of each CUDA kernel, as ptxas reports them.

    cuda_report.py --architectures "80-real;90-real" --hot NAME,NAME SOURCE... -- NVCC FLAG...

Compiles each source for each architecture with machine code. Exits with 1 when a kernel whose name contains one of
the hot names spills registers or keeps arrays outside of them. `cmake --build BUILD --target cuda_report` calls this.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ENTRY = re.compile(
    r"Compiling entry function '(?P<symbol>\w+)' for '(?P<architecture>\w+)'\n"
    r".*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r".*?Used (?P<registers>\d+) registers(?:.*?(?P<shared>\d+) bytes smem)?", re.DOTALL)


def kernels(source, command, architectures):
    """What ptxas says of each kernel of the source."""
    generate = [f"--generate-code=arch=compute_{number},code=[sm_{number}]" for number in architectures]
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "kernels.fatbin"
        result = subprocess.run([*command, *generate, "-Xptxas=-v", "-fatbin", "-o", output, source],
                                capture_output=True, text=True)
    text = result.stdout + result.stderr
    if result.returncode != 0:
        sys.exit(text)
    entries = []
    for part in re.split(r"(?=ptxas info *: Compiling entry)", text)[1:]:
        entry = ENTRY.search(part)
        if entry is None:
            sys.exit(f"{source}: ptxas wrote something else than expected:\n{part}")
        entries.append(entry.groupdict())
    return entries


def readable(symbols):
    """Names of our kernels, without namespaces and parameters; of Thrust's, what each does to an element."""
    text = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    names = []
    for name in text.splitlines():
        name = name.replace("(anonymous namespace)::", "")
        own = re.match(r"(?:void )?orthospike::(\w+(?:<[\w: ]+>)?)", name)
        element = re.search(r"orthospike::(\w+)", name)
        names.append(own[1].replace("orthospike::", "") if own else f"thrust: {element[1]}")
    return names


def main():
    own, separator, command = sys.argv[1:], "--", []
    if separator in own:
        command = own[own.index(separator) + 1:]
        own = own[:own.index(separator)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", required=True)
    parser.add_argument("--hot", default="")
    parser.add_argument("sources", nargs="+")
    arguments = parser.parse_args(own)
    architectures = sorted({re.match(r"\d+\w?", item)[0] for item in arguments.architectures.split(";")
                            if not item.endswith("-virtual")})
    hot = [name for name in arguments.hot.split(",") if name]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda source: kernels(source, command, architectures), arguments.sources)
    entries = [entry for entries in found for entry in entries if "10orthospike" in entry["symbol"]]
    spilling = []
    seen_hot = set()
    print(f"{'kernel':36} {'GPU':6} {'registers':>9} {'shared B':>9} {'stack B':>8} {'spill B':>8}")
    for entry, name in zip(entries, readable([entry["symbol"] for entry in entries])):
        spills = int(entry["stores"]) + int(entry["loads"])
        print(f"{name[:36]:36} {entry['architecture']:6} {entry['registers']:>9} {entry['shared'] or 0:>9} "
              f"{entry['stack']:>8} {spills:>8}")
        names = {part for part in hot if part in name}
        seen_hot |= names
        if names and (spills > 0 or int(entry["stack"]) > 0):
            spilling.append(f"{name} on {entry['architecture']}")
    if missing := set(hot) - seen_hot:
        sys.exit(f"cuda_report: no kernel has the name {', '.join(sorted(missing))}")
    if spilling:
        sys.exit(f"cuda_report: hot kernels spill registers: {', '.join(spilling)}")


if __name__ == "__main__":
    main()
