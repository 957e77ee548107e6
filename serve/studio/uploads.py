"""Files of seeds that somebody uploaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from engine.errors import InputError
from samplers.graph.store import Graph
from samplers.records import Seed
from samplers.seeds import FORMATS, read_seeds
from serve.studio.orders import upload
from serve.studio.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Listed:
    """One uploaded seed."""

    name: str
    known: bool
    """Whether some entity of the graph bears the name."""


def keep(workspace: Workspace, name: str, content: bytes) -> str:
    """Check a file and keep it; the name under which `listed` finds it.

    Raises:
        InputError: it is no file of seeds; tells it by the name that its owner knows.
    """
    shown = PurePath(name.replace("\\", "/")).name[:100]
    if PurePath(shown).suffix.lower() not in FORMATS:
        raise InputError(shown, "is of no known format", f"use one of {', '.join(FORMATS)}")
    path = workspace.keep_upload(shown, content)
    try:
        read_seeds(path)
    except InputError as error:
        path.unlink(missing_ok=True)
        raise InputError(shown, error.problem, error.remedy, error.line) from None
    return path.name


def seeds_of(workspace: Workspace, kept: str) -> list[Seed]:
    """The seeds of a kept file, in its order.

    Raises:
        InputError: there is no such file.
    """
    return read_seeds(upload(workspace, kept))


def listed(graph: Graph, seeds: list[Seed]) -> list[Listed]:
    """Which of the seeds the graph knows."""
    return [Listed(seed.name, bool(graph.find(seed.name))) for seed in seeds]
