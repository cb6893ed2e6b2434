"""Compares and reports runs."""

import argparse
import sys
import warnings

from orthospike import compare, open_run, write_report
from orthospike.comparison import to_markdown


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m orthospike", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    comparing = commands.add_parser("compare", help="prints a table of runs", description=_compare.__doc__)
    comparing.add_argument("runs", nargs="+", metavar="RUN", help="a run folder or file")
    comparing.add_argument("--keys", metavar="KEY,...", help="config keys that tell rows apart (default: those that differ)")
    reporting = commands.add_parser("report", help="writes a page of runs and sweeps", description=_report.__doc__)
    reporting.add_argument("runs", nargs="+", metavar="RUN", help="a run folder or file, or the folder of a collected sweep")
    reporting.add_argument("--out", metavar="FILE", default="report.html", help="the page (default: report.html)")
    options = parser.parse_args(arguments)
    return _compare(options.runs, options.keys) if options.command == "compare" else _report(options.runs, options.out)


def _compare(paths: list[str], keys: str | None) -> int:
    """Prints a table that compares runs, in Markdown: mean and deviation over the seeds of each config. What is not a
    finished run is left out and named."""
    runs = []
    for path in paths:
        try:
            runs.append(open_run(path))
        except (OSError, ValueError) as error:
            _say(f"{error}; left out")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda warning, *_: _say(warning)
            print(to_markdown(compare(runs, keys.split(",") if keys else None)))
    except ValueError as error:
        _say(error)
        return 1
    return 0


def _report(paths: list[str], out: str) -> int:
    """Writes one HTML page with pictures and tables of runs, also of those that still go on, and of sweeps. It needs no
    other file and no network."""
    try:
        page = write_report(paths, out)
    except (OSError, ValueError) as error:
        _say(error)
        return 1
    print(page)
    return 0


def _say(sentence: object) -> None:
    print(f"orthospike: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
