"""A real Slurm of two nodes on this machine, in a folder: it needs root, and Debian's slurm-wlm and munge.

Both nodes are slurmd processes of this host. Jobs of the partition `high` push those of `low`, the default, back into
the queue. Like many clusters it keeps no accounts: sacct answers nothing.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from live_run import alive, children, until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
NODES = ("n1", "n2")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=10
SlurmdTimeout=5
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=8192
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=8192
PartitionName=low Nodes=n1,n2 Default=YES PriorityTier=1
PartitionName=high Nodes=n1,n2 PriorityTier=2
"""


def missing() -> str | None:
    """What a cluster needs and this machine lacks, if anything."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no {lacking[0]}" if lacking else None if os.geteuid() == 0 else "not root"


class Cluster:
    """folder: an empty one, of a short path, since a socket lies in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> "Cluster":
        (self.folder / "state").mkdir()
        for name in NODES:
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        conf = CONF.format(folder=self.folder, host=socket.gethostname().split(".")[0], ports=free_ports(3))
        (self.folder / "slurm.conf").write_text(conf)
        files = {"key-file": key, **{f"{name}-file": self.folder / f"munge.{name}" for name in ("pid", "log", "seed")}}
        options = [f"--{name}={path}" for name, path in files.items()]
        self.call("munged", "--force", f"--socket={self.folder / 'munge.socket'}", *options)
        try:
            self.start("slurmctld")
            for name in NODES:
                self.start(name)
            self.until_idle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for name in NODES:
            self.kill(name)
        for name in ("slurmctld", "munge"):
            self._end([self.pid(name)], signal.SIGTERM)

    def start(self, name: str) -> None:
        """Start the controller or a node."""
        self.call("slurmctld") if name == "slurmctld" else self.call("slurmd", "-N", name)
        until(lambda: (self.folder / f"{name}.pid").exists())

    def kill(self, name: str) -> None:
        """End the controller, or a node with all that runs on it."""
        steps = [] if name == "slurmctld" else self._steps(name)
        below = [child for step in steps for child in children(step)]
        self._end([self.pid(name), *steps, *below], signal.SIGKILL)
        (self.folder / f"{name}.pid").unlink(missing_ok=True)

    def pid(self, name: str) -> int:
        """The process of the controller, a node or munge; 0 if it does not run."""
        path = self.folder / f"{name}.pid"
        return int(path.read_text()) if path.exists() else 0

    def call(self, *command: str) -> str:
        """Run one of Slurm's commands. Returns what it prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def jobs(self) -> dict[str, tuple[str, str]]:
        """{id: (state, node)} of the jobs in the queue; an array's have the ids 12_0, 12_1, …"""
        lines = (line.split("|") for line in self.call("squeue", "-h", "-r", "-o", "%i|%T|%N").splitlines())
        return {number: (state, node) for number, state, node in lines}

    def until_state(self, number: str, state: str) -> str:
        """Wait until a job is in a state. Returns its node."""
        until(lambda: self.jobs().get(number, ("",))[0] == state)
        return self.jobs()[number][1]

    def hurry(self, number: str) -> None:
        """Wait until a job is back in the queue, and let it start now: Slurm would wait for two minutes."""
        until(lambda: "BeginTime" in self.call("squeue", "-h", "-r", "-j", number, "-o", "%r"))
        self.call("scontrol", "update", f"JobId={number}", "StartTime=now")

    def until_idle(self) -> None:
        """Wait until both nodes are up, and free."""
        until(lambda: self.call("sinfo", "-h", "-p", "low", "-t", "idle", "-o", "%D").strip() == "2")

    def empty(self) -> None:
        """Cancel all jobs, and wait until the nodes are free again."""
        self.call("scancel", "--user=root")
        until(lambda: not self.jobs())
        self.until_idle()

    def _steps(self, node: str) -> list[int]:
        """The processes of the job steps of a node: slurmstepd, which outlives slurmd, has the node's spool folder open
        or on its command line."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes()
                if words.startswith(b"slurmstepd") and _works_in(path, self.folder / node):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def _end(self, pids: list[int], number: int) -> None:
        for pid in filter(None, pids):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        _wait(lambda: not alive({pid for pid in pids if pid}))


def _works_in(process: Path, folder: Path) -> bool:
    """Whether a process has a file of a folder open."""
    return any(os.readlink(link).startswith(f"{folder}") for link in (process / "fd").iterdir())


def _wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    listening = [socket.socket() for _ in range(count)]
    for one in listening:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in listening]
    for one in listening:
        one.close()
    return ports
