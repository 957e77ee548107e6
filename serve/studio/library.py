"""The runs that pages look into, each opened once and shared by all windows of the process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cache
from pathlib import Path

from serve.runs.opened import OpenRun
from serve.studio.workspace import Workspace

KEPT = 4
"""Runs whose indexes stay in memory; a hundred thousand rows take some 100 MB."""
CACHE = ".studio/index"
"""In the workspace."""


class Library:
    """The runs of a workspace. Safe to use from several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._lock = workspace, threading.Lock()
        self._open: OrderedDict[str, OpenRun] = OrderedDict()

    def readable(self) -> list[str]:
        """Names of the runs that hold trajectories, the latest first."""
        return self._with("trajectories")

    def browsable(self) -> list[str]:
        """Names of the runs that hold questions or trajectories, the latest first."""
        return self._with("questions", "trajectories")

    def open(self, name: str) -> OpenRun:
        """Raises: InputError: there is no run of that name."""
        folder = self._workspace.open(name)
        with self._lock:
            if name not in self._open:
                self._open[name] = OpenRun(name, folder.path, self._workspace.root / CACHE / name)
            self._open.move_to_end(name)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
            return self._open[name]

    def _with(self, *folders: str) -> list[str]:
        return [run.name for run in self._workspace.runs() if any((run.path / folder).is_dir() for folder in folders)]


@cache
def library(root: Path) -> Library:
    """The one of a workspace's folder."""
    return Library(Workspace(str(root)))
