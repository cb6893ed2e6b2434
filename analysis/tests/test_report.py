"""The page of runs and sweeps, also as a browser shows it."""

import html
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import h5py
import pytest
import synthetic_recording
import synthetic_run
import synthetic_sweep

from orthospike import open_run, write_report
from orthospike.__main__ import main

SOURCE = Path(__file__).parents[2]
BROWSER = shutil.which("chromium")
with_browser = pytest.mark.skipif(BROWSER is None, reason="the browser chromium is not installed")
with_program = pytest.mark.skipif("ORTHOSPIKE_PROGRAM" not in os.environ, reason="ORTHOSPIKE_PROGRAM names no program")
HOSTILE_NAME = "<script>alert(1)</script> $\\frac$ \"&amp;' _x"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href", "srcset", "data")]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(*paths, out):
    return Page(write_report(paths, out).read_text())


@pytest.fixture
def named(tmp_path):
    """A run in a folder, perhaps with texts that are not what a page or a figure expects."""

    def make(folder, config=synthetic_run.CONFIG, **options):
        (tmp_path / folder).mkdir()
        path = synthetic_run.write(tmp_path / folder / "run.h5", **options)
        with h5py.File(path, "r+") as file:
            del file["config"]
            file.create_dataset("config", data=config.encode(), dtype=synthetic_run._text_type(config))
        return tmp_path / folder

    return make


def test_one_run(named, tmp_path):
    page = page_of(named("alone"), out=tmp_path / "page.html")
    assert page.tags.count("svg") == 6
    assert (page.tags.count("h1"), page.tags.count("title")) == (1, 1)
    for words in ("alone", "50 % of it", "3 of 3 tasks", "83.33", "-7.50", "classes 0, 1", "ranks = 24,40; 10", "872583a",
                  "accuracy on task, %", "input → hidden1", "definition of forgetting", "orthonormality error"):
        assert words in page.text, words


def test_several_runs_and_sweeps_are_compared_and_each_has_its_heading(page_file):
    page = Page(page_file.read_text())
    assert page.tags.count("h2") == 1 + 2 + 1 + 1 + 1
    for words in ("2 runs compared", "Run a", "Spikes of run a", "Run b", "2 of 3, unfinished", "Sweep tuned"):
        assert words in page.text, words


def test_recorded_spikes_are_shown(named, tmp_path, monkeypatch):
    folder = synthetic_recording.write(named("recorded"))
    page = page_of(folder, out=tmp_path / "page.html")
    # Four samples a task have no ten directions, so that there are no angles between tasks.
    assert page.tags.count("svg") == 6 + 4
    for words in ("Spikes of run recorded", "Of 24 presentations of test samples.", "hidden2: 1 of 5 silent",
                  "samples of task 1"):
        assert words in page.text, words

    def missing(module):
        raise ImportError(f"this needs {module}")

    monkeypatch.setattr("orthospike.spike_plots.optional", missing)
    monkeypatch.setattr("orthospike.recording.optional", missing)
    page = page_of(folder, out=tmp_path / "page.html")
    assert page.tags.count("svg") == 6
    assert "There are no pictures of the recorded spikes: this needs " in page.text

    (folder / "spikes.h5").write_bytes((folder / "spikes.h5").read_bytes()[:3000])
    with pytest.raises(ValueError, match="spikes.h5"):
        write_report([folder], tmp_path / "page.html")


def test_a_recording_without_spikes_has_no_section(named, tmp_path):
    folder = synthetic_recording.write(named("potentials"))
    (folder / "spikes.h5").unlink()
    assert "Spikes of run" not in page_of(folder, out=tmp_path / "page.html").text


def test_a_sweep(tmp_path):
    folder = synthetic_sweep.write(tmp_path / "tuned")
    page = page_of(folder, out=tmp_path / "page.html")
    assert page.tags.count("svg") == 2
    for words in ("Sweep tuned", "5 of 6 points are done.", "91.00 ± 1.41", "best setting", "seed 2",
                  "leaky.lambda = 1, rule.name = bptt with 91.00 ± 1.41 %", "ranks = 24,40; 10"):
        assert words in page.text, words


def test_a_run_that_has_just_begun(named, tmp_path):
    page = page_of(named("begun", tasks_done=0), out=tmp_path / "page.html")
    assert "0 of 3 tasks, unfinished" in page.text
    assert "–" in page.text


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """Of two runs, one of them recorded and one unfinished, and a sweep."""
    folder = tmp_path_factory.mktemp("page")
    for name, tasks_done in (("a", 3), ("b", 2)):
        (folder / name).mkdir()
        synthetic_run.write(folder / name / "run.h5", tasks_done=tasks_done)
    synthetic_recording.write(folder / "a")
    return write_report([folder / "a", folder / "b", synthetic_sweep.write(folder / "tuned")], folder / "page.html")


def test_nothing_is_fetched_and_nothing_runs(page_file):
    page = Page(page_file.read_text())
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert page.links
    assert not {"script", "iframe", "object", "embed", "link", "base"} & set(page.tags)
    assert "default-src 'none'" in page_file.read_text()


def test_texts_of_a_run_are_shown_as_they_are(named, tmp_path):
    config = f"[experiment]\nname = {HOSTILE_NAME}\n[hlop]\nranks = <b>\n"
    page = page_of(named("_$x^$ <i>", config), out=tmp_path / "page.html")
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert HOSTILE_NAME in page.text
    assert "_$x^$ <i>" in page.text


def test_the_old_page_stays_where_a_new_one_fails(named, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["report", str(named("good")), "--out", str(page)]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    before = page.read_bytes()
    (tmp_path / "foreign.h5").write_text("not HDF5")
    for path, sentence in ((tmp_path / "foreign.h5", "not an HDF5 file, or a damaged one"),
                           (tmp_path / "none", "there is no such file or folder"),
                           (tmp_path, "the folder holds neither run.h5 nor run.partial.h5")):
        assert main(["report", str(path), "--out", str(page)]) == 1
        assert capsys.readouterr().err == f"orthospike: {path}: {sentence}\n"
    assert main(["report", str(tmp_path / "good"), "--out", str(tmp_path / "none" / "page.html")]) == 1
    assert re.fullmatch(r"orthospike: [^\n]*No such file[^\n]*\n", capsys.readouterr().err)
    assert page.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign.h5", "good", "page.html"]


def shown(page, folder, *options):
    """The page in a browser that has no network: what it says on its console, and the document."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
               "--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--log-level=0", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], done.stdout


@with_browser
def test_in_a_browser_it_is_whole_and_the_console_stays_empty(page_file, tmp_path):
    said, document = shown(page_file, tmp_path, "--dump-dom")
    assert said == []
    assert document.count("<svg") == 12
    assert html.unescape(document).count("accuracy on task, %") >= 4


@with_browser
def test_the_browser_would_say_what_a_page_fetches(page_file, tmp_path):
    """Without which the empty console above would say nothing."""
    page = tmp_path / "page.html"
    page.write_text(page_file.read_text().replace("<h1>", '<img src="http://127.0.0.1:9/x.png"><script>1</script><h1>'))
    said, _ = shown(page, tmp_path, "--dump-dom")
    assert any("x.png" in line and "Content Security Policy" in line for line in said), said
    assert any("script" in line for line in said), said


@with_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_no_width_is_too_small_for_the_page(page_file, tmp_path, width):
    """Wide pictures scroll in their frames, so that the page itself does not."""
    frame = tmp_path / "frame.html"  # a window of the browser is never as narrow as a phone's
    frame.write_text(f"<iframe src='{page_file.as_uri()}' style='width: {width}px; height: 900px'></iframe><script>onload = () => "
                     "{ const root = frames[0].document.documentElement; document.title = `${root.scrollWidth} of "
                     "${root.clientWidth}` }</script>")
    _, document = shown(frame, tmp_path, "--dump-dom", "--allow-file-access-from-files")
    assert re.search("<title>(.*)</title>", document)[1] == f"{width - 15} of {width - 15}"


def start(*words, python=sys.executable, **options):
    return subprocess.run([SOURCE / os.environ["ORTHOSPIKE_PROGRAM"], "report", *map(str, words)], capture_output=True,
                          text=True, env=os.environ | {"ORTHOSPIKE_PYTHON": str(python)}, **options)


@with_program
def test_the_program_starts_the_report(named, tmp_path):
    (tmp_path / "orthospike").mkdir()  # not the package
    done = start(named("a"), "--out", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "page.html\n", "")
    assert "Run a" in Page((tmp_path / "page.html").read_text()).text
    assert start("--ot").returncode == 2


@with_program
def test_without_the_package_the_program_says_what_to_do(tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    for python, words in ((bare / "bin/python", "-m pip install ./analysis"), (tmp_path / "none", "No such file")):
        done = start("runs/a", python=python)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"orthospike: [^\n]+\n", done.stderr), done.stderr
        assert words in done.stderr
        assert "ORTHOSPIKE_PYTHON" in done.stderr


@with_program
def test_a_running_run_is_reported(tmp_path):
    out = tmp_path / "going"
    command = [SOURCE / os.environ["ORTHOSPIKE_PROGRAM"], "run", "tests/data/digits.ini", "--out", out, "--tasks.count=50",
               "--tasks.train_samples=640", "--tasks.test_samples=300", "--run.threads=1"]
    process = subprocess.Popen(command, cwd=SOURCE, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and not (any(out.glob("run*.h5")) and open_run(out).tasks_done >= 2):
            time.sleep(0.02)
        page = page_of(out, out=tmp_path / "page.html")
    finally:
        process.terminate()
        process.wait()
    assert re.search(r"\d+ of 50, unfinished", page.text)
    assert page.tags.count("svg") == 6
