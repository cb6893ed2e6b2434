"""What tests of the program's commands share. Their first arguments are BINARY SOURCE_FOLDER."""

import os
import pathlib
import pty
import subprocess
import sys
import tempfile
import unittest

BINARY, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
CONFIG = SOURCE / "tests/data/digits.ini"
# One thread: on a machine that is busy otherwise, two wait for each other.
SERIAL = "--run.threads=1"

# For tests of sweeps, which take a config with keys of their own.
SMALL_DIGITS = f"""
[data]
name = optdigits
path = {SOURCE}/tests/data
mean = 0.287
deviation = 0.354
[protection]
name = leaky
[metrics]
quality_samples = 0
[run]
device = cpu
threads = 1
"""


def orthospike(*arguments, **options):
    options.setdefault("cwd", SOURCE)
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, errors="replace",
                          timeout=600, **options)


class Command(unittest.TestCase):
    """With a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def assert_refused(self, result, code, *parts):
        """One sentence on stderr, the exit code, and no results."""
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertRegex(result.stderr, r"\A(orthospike: warning: [^\n]+\n)*orthospike: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(part, result.stderr)

    def shown_on_a_terminal(self, *arguments):
        """What a command that is to end with code 0 writes."""
        main, terminal = pty.openpty()
        process = subprocess.Popen([BINARY, *map(str, arguments)], cwd=SOURCE, stdout=terminal)
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(main, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            shown += part
        os.close(main)
        self.assertEqual(process.wait(), 0)
        return shown.decode()
