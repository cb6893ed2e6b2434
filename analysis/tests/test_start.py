"""Runs that Python starts. ORTHOSPIKE_PROGRAM names the program; where it does not, a script stands for it."""

import json
import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

import orthospike

SOURCE = Path(__file__).parents[2]
PROGRAM = SOURCE / os.environ.get("ORTHOSPIKE_PROGRAM", "")
with_program = pytest.mark.skipif("ORTHOSPIKE_PROGRAM" not in os.environ, reason="ORTHOSPIKE_PROGRAM names no program")
CONFIG = "tests/data/digits.ini"
QUICK = {"tasks.train_samples": 320, "tasks.test_samples": 100, "run.threads": 1}


@pytest.fixture
def pretended(tmp_path):
    """A program that does what its source says, with its arguments in `words`."""

    def make(source):
        path = tmp_path / "program"
        path.write_text(f"#!{sys.executable}\nimport sys\nwords = sys.argv[1:]\n{source}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


def test_keys_are_words_of_the_command(pretended, tmp_path, finished_file):
    words = tmp_path / "words"
    program = pretended(
        f"import json\nopen({str(words)!r}, 'w').write(json.dumps(words))\n"
        f"print(json.dumps({{'run_file': {str(finished_file)!r}}}))"
    )
    found = orthospike.run(
        "a.ini",
        out="runs/a",
        restart=True,
        program=program,
        progress=False,
        settings={"hlop.ranks": [[80, 200], [70]]},
        tasks__count=3,
        hlop__orthonormalise=True,
        optimiser__learning_rate=0.5,
        hebbian__learning_rate=[0.001, 0.01],
        rule__name="bptt",
    )
    assert Path(found.path) == finished_file
    assert json.loads(words.read_text()) == [
        "run",
        "a.ini",
        "--restart",
        "--out=runs/a",
        "--hlop.ranks=80, 200; 70",
        "--tasks.count=3",
        "--hlop.orthonormalise=true",
        "--optimiser.learning_rate=0.5",
        "--hebbian.learning_rate=0.001, 0.01",
        "--rule.name=bptt",
    ]


def test_failures_are_sentences(pretended):
    for code, kind in ((2, ValueError), (1, RuntimeError), (75, RuntimeError)):
        program = pretended(
            f"print('orthospike: warning: beware', 'orthospike: no such thing', sep='\\n', file=sys.stderr)\nsys.exit({code})"
        )
        with pytest.warns(UserWarning, match="^beware$"), pytest.raises(kind, match="^no such thing$"):
            orthospike.run(CONFIG, program=program, progress=False)
    with pytest.raises(RuntimeError, match="^the program ended with -9$"):
        orthospike.run(CONFIG, program=pretended("import os\nos.kill(os.getpid(), 9)"), progress=False)
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        orthospike.run(CONFIG, program="no-such-program")


@with_program
def test_a_run_is_started_followed_and_opened(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(SOURCE)
    found = orthospike.run(CONFIG, out=tmp_path, program=PROGRAM, tasks__count=2, settings=QUICK)
    assert found.finished
    assert found.path == tmp_path / "run.h5"
    assert found.settings["tasks.count"] == "2"
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert f"ACC {100 * found.average_accuracy.iloc[-1]:.2f} %" in shown
    again = orthospike.run(
        CONFIG, out=tmp_path, program=PROGRAM, tasks__count=2, settings=QUICK, progress=False
    )
    assert again.accuracy.equals(found.accuracy)
    assert capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="unknown key 'tasks.cuont'; the nearest known one is 'tasks.count'"):
        orthospike.run(CONFIG, program=PROGRAM, progress=False, tasks__cuont=2)


@pytest.fixture
def interrupt_when():
    """Interrupts the test, as Ctrl-C would, when something holds."""
    # A shell has its background jobs ignore it, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(holds):
        def wait():
            while not holds():
                time.sleep(0.01)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=wait, daemon=True).start()

    yield start
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_reaches_the_program(pretended, tmp_path, interrupt_when):
    begun, told = tmp_path / "begun", tmp_path / "told"
    program = pretended(
        "import pathlib, signal, time\n"
        f"signal.signal(signal.SIGINT, lambda *_: (pathlib.Path({str(told)!r}).touch(), sys.exit(75)))\n"
        f"pathlib.Path({str(begun)!r}).touch()\n"
        "time.sleep(60)"
    )
    interrupt_when(begun.exists)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        orthospike.run(CONFIG, program=program, progress=False)
    assert told.exists()
    assert time.monotonic() - start < 30


@with_program
def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, interrupt_when):
    monkeypatch.chdir(SOURCE)
    whole = {"config": CONFIG, "out": tmp_path, "program": PROGRAM, "progress": False}
    keys = QUICK | {"tasks.count": 2, "tasks.epochs": 400}
    interrupt_when((tmp_path / "run.partial.h5").exists)
    with pytest.raises(KeyboardInterrupt):
        orthospike.run(**whole, settings=keys)
    assert (tmp_path / "checkpoint.h5").exists()
    assert not (tmp_path / "lock").exists()
    assert orthospike.run(**whole, settings=keys).finished
