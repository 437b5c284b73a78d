"""A real Slurm of two nodes on this machine, in a folder: it needs root, and Debian's slurm-wlm and munge.

Both nodes are slurmd processes of this host. Jobs of the partition `high` push those of `low`, the default, back into
the queue. Like many clusters it keeps no accounts: sacct answers nothing.
"""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

from live_run import children
from slow_jobs import until

from trainer.processes.parent_death import die_with_it

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
SlurmdTimeout=120
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
    """folder: an empty one, of a short path, since a socket lies in it. Its daemons end with this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cluster":
        for name in ("state", *NODES):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        conf = CONF.format(folder=self.folder, host=socket.gethostname().split(".")[0], ports=free_ports(3))
        (self.folder / "slurm.conf").write_text(conf)
        try:
            for name in ("munged", "slurmctld", *NODES):
                self.start(name)
            self.until_idle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for name in list(self.daemons):
            self.kill(name)

    def start(self, name: str) -> None:
        """Start munged, the controller (slurmctld) or a node, and wait until it answers."""
        commands = {"munged": self._munged(), "slurmctld": ["slurmctld", "-D"]}
        with (self.folder / f"{name}.out").open("wb") as out:
            self.daemons[name] = subprocess.Popen(
                commands.get(name, ["slurmd", "-D", "-N", name]),
                env=self.environment,
                stdout=out,
                stderr=out,
                preexec_fn=die_with_it,
            )
        if name == "slurmctld":
            until(lambda: "UP" in self.run("scontrol", "ping").stdout)
        else:
            until((self.folder / ("munge.socket" if name == "munged" else f"{name}.pid")).exists)

    def kill(self, name: str) -> None:
        """End a daemon, and all that runs on a node."""
        steps = self._steps(name) if name in NODES else []
        # The controller stores its state before it ends: after SIGKILL it may not know of the jobs that it has started.
        number = signal.SIGTERM if name == "slurmctld" else signal.SIGKILL
        for process in [self.daemons[name].pid, *steps, *(child for step in steps for child in children(step))]:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        self.daemons.pop(name).wait()
        (self.folder / f"{name}.pid").unlink(missing_ok=True)

    def call(self, *command: str) -> str:
        """Run one of Slurm's commands, which succeeds. Returns what it prints."""
        done = self.run(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)

    def jobs(self) -> dict[str, tuple[str, str]]:
        """{id: (state, node)} of the jobs in the queue; an array's have the ids 12_0, 12_1, …"""
        lines = (line.split("|") for line in self.call("squeue", "-h", "-r", "-o", "%i|%T|%N").splitlines())
        return {number: (state, node) for number, state, node in lines}

    def until_state(self, number: str, state: str) -> str:
        """Wait until a job is in a state. Returns its node."""
        until(lambda: self.jobs().get(number, ("",))[0] == state)
        return self.jobs()[number][1]

    def hurry(self, number: str, *changes: str) -> None:
        """Wait until a job is back in the queue, and let it start soon, changed: Slurm would wait for two minutes. In
        the second in which it left its node, that node would refuse it ("Job credential revoked")."""
        until(lambda: "BeginTime" in self.call("squeue", "-h", "-r", "-j", number, "-o", "%r"))
        self.call("scontrol", "update", f"JobId={number}", "StartTime=now+3", *changes)

    def until_idle(self) -> None:
        """Wait until both nodes are up, and free."""
        until(lambda: self.call("sinfo", "-h", "-p", "low", "-t", "idle", "-o", "%D").strip() == "2")

    def empty(self) -> None:
        """Cancel all jobs, and wait until the nodes are free again."""
        self.call("scancel", "--user=root")
        until(lambda: not self.jobs())
        self.until_idle()

    def _munged(self) -> list[str]:
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder}/munge.{name}" for option, name in files.items()]
        return ["munged", "--foreground", "--force", *options]

    def _steps(self, node: str) -> list[int]:
        """The processes of a node's job steps: they have its log open, and would outlive it."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_step(path, self.folder / f"{node}.log")]


def _is_step(process: Path, log: Path) -> bool:
    try:
        is_step = (process / "cmdline").read_bytes().startswith(b"slurmstepd")
        return is_step and any(os.readlink(link) == str(log) for link in (process / "fd").iterdir())
    except OSError:  # it has ended
        return False


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens at."""
    with ExitStack() as held:
        listening = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in listening:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in listening]
