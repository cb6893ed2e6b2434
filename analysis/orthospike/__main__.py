"""Prints a table that compares runs, in Markdown: mean and deviation over the seeds of each config. What is not a
finished run is left out and named."""

import argparse
import sys
import warnings

from orthospike import compare, open_run
from orthospike.comparison import to_markdown


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m orthospike", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run folder or file")
    parser.add_argument("--keys", metavar="KEY,...", help="config keys that tell rows apart (default: those that differ)")
    options = parser.parse_args(arguments)
    runs = []
    for path in options.runs:
        try:
            runs.append(open_run(path))
        except (OSError, ValueError) as error:
            _say(f"{error}; left out")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda warning, *_: _say(warning)
            print(to_markdown(compare(runs, options.keys and options.keys.split(","))))
    except ValueError as error:
        _say(error)
        return 1
    return 0


def _say(sentence: object) -> None:
    print(f"orthospike: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
