#!/usr/bin/env python3
"""Prints registers, shared memory and spills of each CUDA kernel, as ptxas reported them to the build.

    cuda_report.py compile NVCC ARGUMENT... -o OBJECT   compiles, and keeps what ptxas -v says in OBJECT.ptxas
    cuda_report.py report --hot NAME,NAME OBJECT...     prints it

The report exits with 1 when a kernel whose name contains one of the hot names spills registers or keeps arrays outside
of them. The build compiles by the first; `cmake --build BUILD --target cuda_report` calls the second.
"""

import argparse
import pathlib
import re
import subprocess
import sys

ENTRY = re.compile(
    r"Compiling entry function '(?P<symbol>\w+)' for '(?P<architecture>\w+)'\n"
    r".*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r".*?Used (?P<registers>\d+) registers(?:.*?(?P<shared>\d+) bytes smem)?", re.DOTALL)


def kept(object_file):
    return pathlib.Path(f"{object_file}.ptxas")


def compile_object(command):
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    of_ptxas, others = [], []
    for line in result.stderr.splitlines(keepends=True):
        (of_ptxas if re.match(r"ptxas info|  +\d+ bytes stack frame", line) else others).append(line)
    sys.stderr.writelines(others)
    if result.returncode == 0:
        kept(command[command.index("-o") + 1]).write_text("".join(of_ptxas))
    return result.returncode


def kernels(object_file):
    """What ptxas said of each kernel of the object."""
    entries = []
    for part in re.split(r"(?=ptxas info *: Compiling entry)", kept(object_file).read_text())[1:]:
        entry = ENTRY.search(part)
        if entry is None:
            sys.exit(f"{kept(object_file)}: ptxas wrote something else than expected:\n{part}")
        entries.append(entry.groupdict())
    return entries


def readable(symbols):
    """Names of our kernels, without namespaces and parameters; of Thrust's, what each does to an element."""
    text = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    names = []
    for name in text.splitlines():
        name = name.replace("(anonymous namespace)::", "")
        own = re.match(r"(?:void )?orthospike::(\w+(?:<[\w:<> ]+>)?)", name)
        element = re.search(r"orthospike::(\w+)", name)
        names.append(own[1].replace("orthospike::", "") if own else f"thrust: {element[1]}")
    return names


def report(objects, hot):
    entries = [entry for item in objects for entry in kernels(item) if "10orthospike" in entry["symbol"]]
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
    if sys.argv[1:2] == ["compile"]:
        sys.exit(compile_object(sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", choices=["report"])
    parser.add_argument("--hot", default="")
    parser.add_argument("objects", nargs="+")
    arguments = parser.parse_args()
    report(arguments.objects, [name for name in arguments.hot.split(",") if name])
