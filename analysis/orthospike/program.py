"""Runs of the program from Python."""

import json
import re
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from tqdm import TqdmWarning

from orthospike.run_file import Run, open_run

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # in a notebook without widgets the bar is text
    from tqdm.auto import tqdm

Value = str | bool | int | float | Iterable[Any]

PROGRESS = re.compile(r"task (\d+)/(\d+)  (.*)")
ACCURACY = re.compile(r"ACC (\S+) %")


def run(
    config: str | PathLike[str],
    *,
    out: str | PathLike[str] | None = None,
    restart: bool = False,
    program: str | PathLike[str] = "orthospike",
    progress: bool = True,
    settings: Mapping[str, Value] | None = None,
    **keys: Value,
) -> Run:
    """Runs a config file and opens the run.

    `settings` and `keys` win over the file: `settings={"tasks.count": 3}` or `tasks__count=3`, lists where a key takes
    several values and lists of lists where it takes several groups. `out` is the run's folder, by default that of
    `orthospike run`; one whose run has ended is only opened, one that was interrupted goes on, `restart` begins it
    anew. `progress` shows a bar of the tasks.

    Warnings of the program are warned of. Raises ValueError with its sentence for a wrong config, RuntimeError for any other
    failure, FileNotFoundError where there is no program. KeyboardInterrupt lets it write a checkpoint first.
    """
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(f"{program}: there is no such program; put it on the PATH, or give its path")
    given = dict(settings or {}) | {key.replace("__", ".", 1): value for key, value in keys.items()}
    command = [path, "run", str(config), *(["--restart"] if restart else [])]
    command += [] if out is None else [f"--out={out}"]
    command += [f"--{key}={_text(value)}" for key, value in given.items()]
    with tempfile.TemporaryFile("w+") as errors:
        # In a session of its own: a terminal's Ctrl-C comes to it once, from here.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace", start_new_session=True
        )
        try:
            last = _follow(process, progress)
        except BaseException as error:
            process.send_signal(signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
            raise
        finally:
            assert process.stdout is not None
            process.stdout.close()
            process.wait()
        errors.seek(0)
        sentences = [line.removeprefix("orthospike: ") for line in errors.read().splitlines()]
    for sentence in sentences:
        if sentence.startswith("warning: "):
            warnings.warn(sentence.removeprefix("warning: "), stacklevel=2)
    if process.returncode != 0:
        found = sentences[-1] if sentences else f"the program ended with {process.returncode}"
        raise (ValueError if process.returncode == 2 else RuntimeError)(found)
    return open_run(json.loads(last)["run_file"])


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    values = list(value)
    nested = any(isinstance(one, Iterable) and not isinstance(one, str) for one in values)
    return ("; " if nested else ", ").join(_text(one) for one in values)


def _follow(process: subprocess.Popen[str], progress: bool) -> str:
    """The last line that it prints."""
    line = last = ""
    assert process.stdout is not None
    with tqdm(disable=not progress, unit="task") as bar:
        for line in process.stdout:
            if so_far := PROGRESS.match(line):
                bar.total = int(so_far[2])
                bar.set_description(f"task {so_far[1]}", refresh=False)
                bar.set_postfix_str(" ".join(so_far[3].split()))
            elif accuracy := ACCURACY.match(line):
                bar.set_postfix_str(f"ACC {accuracy[1]} %", refresh=False)
                bar.update()
            if line.strip():
                last = line
    return last
