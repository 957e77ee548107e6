"""A run directory, opened for people to look at: finished, still running or broken off."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from engine.errors import InputError
from engine.storage import Storage
from samplers.records import Atom, AtomKind, Question

_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def open_run(run_dir: str) -> tuple[Storage, dict[str, Any]]:
    """The directory and its resolved configuration.

    Raises:
        InputError: it is no run directory.
    """
    storage = Storage(run_dir)
    if not storage.exists("config.yaml"):
        raise InputError(
            run_dir, "is no run directory: it has no config.yaml", "give the folder that scripts.synthesize wrote, run.dir=runs/NAME"
        )
    config: dict[str, Any] = yaml.safe_load(storage.read("config.yaml"))
    return storage, config


def read_columns(storage: Storage, name: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a shard; of nested ones the leaf is named with its path in the file, `messages.list.element.role`."""
    return pq.ParquetFile(io.BytesIO(storage.read(name))).read(columns=list(columns))


def path_in_words(question: Question) -> list[str]:
    """The steps of its cheat sheet, with names in the place of placeholders."""
    steps = [step.text for step in question.cheat_sheet]
    for placeholder in question.placeholders:
        steps = [step.replace(f"[{placeholder.name}]", placeholder.label) for step in steps]
    return steps


def atom_in_words(atom: Atom, names: Mapping[str, str]) -> str:
    """One statement of a query: `?a —treats→ heart failure`, `1980 ≤ approval_year of ?x ≤ 1999`.

    Args:
        names: entity id → printed name, of the constants.
    """
    subject, other = names.get(atom.subject, atom.subject), names.get(atom.object, atom.object)
    if atom.kind in (AtomKind.EDGE, AtomKind.ANCESTOR, AtomKind.ABSENT):
        steps = "⁺" if atom.kind is AtomKind.ANCESTOR else ""
        return f"{'not: ' if atom.kind is AtomKind.ABSENT else ''}{subject} —{atom.predicate}{steps}→ {other}"
    if atom.kind is AtomKind.LESS:
        return f"{atom.predicate} of {subject} < {atom.predicate} of {other}"
    if atom.kind is AtomKind.EQUALS:
        return f"{atom.predicate} of {subject} = {atom.value}"
    low = "" if atom.low is None else f"{atom.low:g} ≤ "
    high = "" if atom.high is None else f" ≤ {atom.high:g}"
    return f"{low}{atom.predicate} of {subject}{high}"


def printable(text: str) -> str:
    """Text without control characters: what a page says must not steer the terminal it is shown on."""
    return text.translate(_CONTROLS)
