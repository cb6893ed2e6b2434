"""Prints a table that compares runs, in Markdown: mean and deviation over the seeds of each config."""

import argparse
import sys

from orthospike import compare, open_run
from orthospike.comparison import to_markdown


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m orthospike", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run folder or file")
    parser.add_argument("--keys", metavar="KEY,...", help="config keys that tell rows apart (default: those that differ)")
    options = parser.parse_args(arguments)
    try:
        print(to_markdown(compare(map(open_run, options.runs), options.keys and options.keys.split(","))))
    except (OSError, ValueError) as error:
        print(f"orthospike: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
