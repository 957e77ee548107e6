"""Seeds from a file, or from the graph itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.records import derive_id
from samplers.graph.names import normalise
from samplers.graph.store import Graph
from samplers.graph.tables import SUFFIXES, read_lines, read_table
from samplers.records import Seed

COLUMNS = ("entity", "name")
SPECIALTY = "specialty"
FORMATS = (*SUFFIXES, ".txt", ".json", ".jsonl")
ONE_FORM = 'write a string, or an object with "entity" or "name"'


def make_seed(name: str, specialty: str = "") -> Seed:
    """One seed; names with the same normal form give the same id."""
    identity = derive_id("seed", normalise(name))
    return Seed(id=identity, trace_id=identity, name=name, tags=(f"{SPECIALTY}:{specialty}",) if specialty else ())


def read_seeds(path: Path) -> list[Seed]:
    """Seeds of a csv, tsv, txt, json, jsonl or parquet file in its order; of equal names (in normal form) the first spelling.

    Tables have a column `entity` or `name`, txt one name per line, json a list and jsonl lines of strings or of objects
    with `entity` or `name`. Blank lines do not count. A column or key `specialty` becomes a tag of the seed's questions.

    Raises:
        InputError: missing, empty, of an unknown format, not UTF-8, without names; names file, line and remedy.
    """
    if not path.is_file():
        raise InputError(path, "no such file", "set seeds=FILE to a list of entity names")
    if path.suffix.lower() not in FORMATS:
        raise InputError(path, f"'{path.suffix}' is no known format", f"use one of {', '.join(FORMATS)}")
    seeds: dict[str, Seed] = {}
    for line, name, specialty in _names(path):
        if not name.strip():
            raise InputError(path, "the name is empty", "fill it in, or remove the row", line)
        seed = make_seed(name.strip(), specialty.strip())
        seeds.setdefault(seed.id, seed)
    if not seeds:
        raise InputError(path, "is empty", "write at least one entity name")
    return list(seeds.values())


def seeds_from_graph(graph: Graph, hub_degree: int) -> list[Seed]:
    """A seed for every usable entity with 2 to `hub_degree` edges, sorted by name; entities of one name share a seed."""
    eligible = (index for index in range(len(graph)) if graph.usable(index) and 2 <= graph.degree(index) <= hub_degree)
    seeds = {seed.id: seed for seed in map(make_seed, sorted(map(graph.name, eligible), reverse=True))}
    return sorted(seeds.values(), key=lambda seed: seed.name)


Named = tuple[int | None, str, str]
"""Line, name, specialty."""


def _names(path: Path) -> Iterator[Named]:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        yield from _table_names(path)
        return
    lines = [(line, text) for line, text in read_lines(path) if text.strip()]
    if suffix == ".txt":
        yield from ((line, text, "") for line, text in lines)
    elif suffix == ".jsonl":
        for line, text in lines:
            item = _json(path, text, line)
            yield line, _item_name(path, item, line), _item_specialty(item)
    elif lines:
        whole = _json(path, "\n".join(text for _, text in read_lines(path)), 1)
        if not isinstance(whole, list):
            raise InputError(path, "is no JSON list", 'write ["first name", "second name"]')
        yield from _listed_names(path, whole)


def _table_names(path: Path) -> Iterator[Named]:
    table = read_table(path, ())
    column = next((name for name in COLUMNS if name in table.data.column_names), None)
    if column is None:
        found = ", ".join(table.data.column_names)
        raise InputError(
            path, f"has no column 'entity' or 'name' (found: {found})", "rename the column that holds the names to 'entity'", 1
        )
    specialties = table.column(SPECIALTY).to_pylist() if SPECIALTY in table.data.column_names else [""] * len(table)
    for row, (name, specialty) in enumerate(zip(table.column(column).to_pylist(), specialties, strict=True)):
        yield (None if name else table.line(row)), name, specialty


def _listed_names(path: Path, items: Iterable[Any]) -> Iterator[Named]:
    for place, item in enumerate(items, start=1):
        yield None, _item_name(path, item, None, f"item {place} "), _item_specialty(item)


def _item_specialty(item: Any) -> str:
    value = item.get(SPECIALTY) if isinstance(item, dict) else None
    return value if isinstance(value, str) else ""


def _item_name(path: Path, item: Any, line: int | None, which: str = "") -> str:
    value = next((item[key] for key in COLUMNS if key in item), None) if isinstance(item, dict) else item
    if not isinstance(value, str):
        raise InputError(path, f"{which}holds no name: {json.dumps(item, ensure_ascii=False)[:80]}", ONE_FORM, line)
    return value


def _json(path: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(path, f"is not JSON: {error.msg} at column {error.colno}", ONE_FORM, line + error.lineno - 1) from None
    except (ValueError, RecursionError) as error:  # lists in lists in lists, a number of thousands of digits
        raise InputError(path, f"cannot be read as JSON: {error}"[:200], ONE_FORM, line) from None
