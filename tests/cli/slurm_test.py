"""A sweep as a job array of a real Slurm on this machine, and the same sweep without. Usage: slurm_test.py BINARY
SOURCE_FOLDER"""

import csv
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from command import BINARY, SMALL_DIGITS, SOURCE, Command, orthospike

# Points of some seconds, in which there is a middle.
BASE = SMALL_DIGITS + """[tasks]
count = 3
epochs = 150
held_back_samples = 500
[network]
hidden = 64
"""
SWEEP = "[sweep]\nconfig = base.ini\nseeds = 1-2\n[vary]\nleaky.lambda = 0.05 | 0.2 | 1 | 5\n"

CONFIG = """
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for a_socket in sockets:
        a_socket.bind(("127.0.0.1", 0))
    ports = [a_socket.getsockname()[1] for a_socket in sockets]
    for a_socket in sockets:
        a_socket.close()
    return ports


class Slurm:
    """Its daemons, each in the foreground, with all they write in one folder."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orthospike-slurm-"))
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir()
        (self.folder / "spool").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.config = self.folder / "slurm.conf"
        self.config.write_text(CONFIG.format(host=socket.gethostname().partition(".")[0], folder=self.folder,
                                             ports=free_ports(2)))
        self.environment = os.environ | {"SLURM_CONF": str(self.config)}
        self.daemons = [self.start("munged", "--foreground", "--force", f"--key-file={key}",
                                   f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munged.pid",
                                   f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munged.seed"),
                        self.start("slurmctld", "-D"), self.start("slurmd", "-D")]

    def start(self, *words):
        return subprocess.Popen(words, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def call(self, *words):
        return subprocess.run(list(map(str, words)), env=self.environment, capture_output=True, text=True, timeout=60)

    def stop(self):
        self.call("scancel", "--user=root")
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self):
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))


def missing():
    """Why there can be no Slurm here; empty where there can."""
    if os.geteuid() != 0:
        return "only root can start Slurm's daemons"
    absent = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@unittest.skipIf(missing(), missing())
class JobArray(Command):
    def setUp(self):
        super().setUp()
        self.slurm = Slurm()
        self.addCleanup(self.slurm.stop)
        (self.folder / "base.ini").write_text(BASE)
        self.file = self.folder / "s.ini"
        self.file.write_text(SWEEP)
        self.out = self.folder / "cluster"

    def wait_for(self, what, condition, seconds=240):
        deadline = time.time() + seconds
        while not condition():
            self.assertLess(time.time(), deadline, f"{what}\n{self.slurm.logs()}\n{self.queue()}\n{self.output()}")
            time.sleep(0.1)

    def queue(self, *options):
        return self.slurm.call("squeue", "--noheader", "--array", "--format=%i", *options).stdout.split()

    def output(self):
        return "".join(path.read_text() for path in sorted(self.out.glob("slurm-*.log")))

    def points_that(self, say):
        return sum(say in path.read_text() for path in self.out.glob("*/log.txt"))

    def collected(self, out):
        """Of each point its result; without what depends on the machine."""
        result = orthospike("sweep", "collect", self.file, "--out", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(out / "sweep.csv", newline="") as file:
            return [{key: value for key, value in row.items() if "second" not in key and "memory" not in key}
                    for row in csv.DictReader(file)]

    def test_interrupted_points_finish_as_they_would_on_one_machine(self):
        self.wait_for("no node", lambda: "idle" in self.slurm.call("sinfo", "--noheader", "--format=%T").stdout)
        result = orthospike("sweep", "slurm", self.file, "--out", self.out, "--at-most", "2", "--", "--time=10",
                            env=self.slurm.environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout.splitlines()[-1])["submitted"], 8)

        self.wait_for("two points do not run", lambda: self.points_that("epoch") == 2)
        first, second = self.queue("--states=R")
        # One is taken off its node, the other is told that its time is nearly up.
        self.assertEqual(self.slurm.call("scontrol", "requeue", first).returncode, 0)
        scancel = self.slurm.start("scancel", "--batch", "--signal=USR1", second)
        self.wait_for("two points are not interrupted", lambda: self.points_that("interrupted after") == 2)
        # It does not see that the job is in the queue again, and would go on trying.
        scancel.kill()
        scancel.wait()

        def ended():
            for job in self.queue("--states=PD"):
                # Slurm lets a requeued job wait for two minutes.
                self.slurm.call("scontrol", "update", f"JobId={job}", "StartTime=now")
            return not self.queue()

        self.wait_for("the array does not end", ended)
        status = json.loads(orthospike("sweep", "status", self.file, "--out", self.out).stdout.splitlines()[-1])
        self.assertEqual(status["done"], 8, f"{status}\n{self.output()}")
        self.assertEqual(self.points_that("goes on after"), 2)

        local = self.folder / "local"
        result = orthospike("sweep", "run", self.file, "--out", local, "--jobs", "2")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.collected(self.out), self.collected(local))

if __name__ == "__main__":
    unittest.main(argv=["slurm_test.py"])
