"""Runs as processes of their own, that outlive the studio: begun, asked to stop, and known again after a restart.

All that is remembered stands in the run directory: `studio.json` (the command, the process) and `studio.log` (what it said).
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from engine.errors import InputError
from engine.storage import Storage
from serve.runs.following import tail
from serve.studio.orders import MODULE

RECORD, LOG = "studio.json", "studio.log"

FRESH_S = 20.0
"""A run that nobody here started works if it wrote so lately: its metrics have a line every five seconds, unless configured otherwise."""

SLACK_S = 6.0
"""Files that one process writes together are no further apart: it says something every five seconds."""

STOPPED_ON_REQUEST = "stopped on request"
"""What a run says that was interrupted, by whomever."""

_ONE_AT_A_TIME = threading.Lock()
"""Two windows may ask for the same run at the same moment."""


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def is_alive(self) -> bool:
        """Whether it still changes."""
        return self in (RunState.RUNNING, RunState.STOPPING)


@dataclass(frozen=True)
class Launch:
    """A process that the studio started."""

    module: str
    overrides: tuple[str, ...]
    pid: int
    born: str
    """Which of all processes with that pid; see `birth`."""
    started: float
    """Seconds since the epoch."""
    stops: int = 0
    """How often it was asked to stop."""

    @property
    def is_alive(self) -> bool:
        """Whether this very process still works."""
        return birth(self.pid) == self.born


def start(folder: Path, overrides: Sequence[str], module: str = MODULE) -> Launch:
    """Begin the run in its directory, or take it up again where it stopped: `python -m MODULE OVERRIDES`.

    Raises:
        InputError: it is at work already, or its directory cannot be written.
    """
    with _ONE_AT_A_TIME:
        if state_of(folder).is_alive:
            raise InputError(folder.name, "is at work already", "wait for it, or stop it first")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            pid = _spawn([sys.executable, "-m", module, *overrides], folder / LOG)
        except OSError as error:
            raise InputError(folder.name, f"cannot be started ({error.strerror})", "make the folder of runs writable") from None
        launch = Launch(module, tuple(overrides), pid, birth(pid), time.time())
        _keep(folder, launch)
    threading.Thread(target=os.waitpid, args=(pid, 0), name=f"wait-{pid}", daemon=True).start()
    return launch


def _spawn(command: Sequence[str], log: Path) -> int:
    """A process of its own session, whatever became of ours; its id.

    Not by `subprocess`: a studio started in the background ignores SIGINT, and so would its children, who could not be stopped then.
    """
    return os.posix_spawn(
        command[0],
        list(command),
        {**os.environ, "PYTHONUNBUFFERED": "1"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM],
    )


def stop(folder: Path) -> None:
    """Ask a run to finish what is in flight and to end; asked again, it ends at once.

    Raises:
        InputError: it is not at work, or was not started here.
    """
    launch = launch_of(folder)
    if launch is None or not launch.is_alive:
        raise InputError(folder.name, "is no run that was started here and is at work", "stop it where it was started, with Ctrl-C")
    _keep(folder, replace(launch, stops=launch.stops + 1))
    os.kill(launch.pid, signal.SIGINT)


def launch_of(folder: Path) -> Launch | None:
    """What the studio started in a run directory last."""
    try:
        told = json.loads((folder / RECORD).read_bytes())
        return Launch(**{**told, "overrides": tuple(told["overrides"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def state_of(folder: Path, now: float | None = None) -> RunState:
    """From the run directory alone.

    Args:
        now: seconds since the epoch.
    """
    launch, ended = launch_of(folder), _ended(folder)
    if launch and launch.is_alive:
        return RunState.STOPPING if launch.stops else RunState.RUNNING
    wrote = max(_modified(folder / "metrics.jsonl"), _modified(folder / "config.yaml"))
    if ended >= (launch.started if launch else 0.0) and ended + SLACK_S > wrote:
        return RunState.FINISHED
    by_another = wrote > _modified(folder / LOG) + SLACK_S
    if by_another and (time.time() if now is None else now) - wrote < FRESH_S:
        return RunState.RUNNING
    asked = launch is None or launch.stops or STOPPED_ON_REQUEST in tail(folder / LOG)
    return RunState.STOPPED if asked else RunState.FAILED


def birth(pid: int) -> str:
    """Which process has this pid now: the boot of the machine, and the tick since then at which it began; "" where none works.

    See proc_pid_stat(5): fields 3, state, and 22, starttime.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{Path('/proc/sys/kernel/random/boot_id').read_text(encoding='utf-8').strip()}:{fields[19]}"


def _ended(folder: Path) -> float:
    """When its last file was written; 0 while there is none. A model is written last of all, apart from what is told of it."""
    steps = folder / "steps.json"
    if steps.is_file():
        return _modified(steps) if '"report"' in steps.read_text(encoding="utf-8", errors="replace") else 0.0
    if any((folder / "model" / name).is_file() for name in ("config.json", "adapter_config.json")):
        return math.inf
    return _modified(folder / "manifest.json")


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _keep(folder: Path, launch: Launch) -> None:
    Storage(str(folder)).write(RECORD, (json.dumps(asdict(launch), indent=1) + "\n").encode())
