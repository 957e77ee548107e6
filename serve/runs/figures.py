"""A data set in numbers: how often each value occurs, and what two data sets have in common, read from their indexes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from samplers.graph.names import normalise
from samplers.questions.likeness import near_duplicates
from samplers.questions.split import TAG
from serve.runs.flat import holds, labels
from serve.runs.rows import ACCEPTED
from serve.runs.sets import SOLVED, solved

MOST = 12
"""Values shown of a column that has many."""
COMPARABLE = 20_000
"""Questions whose wording is compared pair by pair."""
BINS = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """How often each value occurs."""

    name: str
    counts: Mapping[str, int]
    """In the order in which they are shown."""
    of: int
    """What shares are taken of."""
    more: int = 0
    """Further values that are not shown."""


def figures(questions: pa.Table, rows: pa.Table) -> list[Figure]:
    """Of the questions of a set and their trajectories; a column with nothing to tell is left out."""
    if not len(questions):
        return []
    found = [
        Figure("paradigm", _counted(questions["paradigm"]), len(questions)),
        Figure("hops", _by_number(questions["hops"]), len(questions)),
        Figure("difficulty", _bins(questions["difficulty"]), len(questions)),
        Figure("kind", *_most(_counted(questions["kind"]), len(questions))),
        Figure("solved", _ordered(_counted(solved(questions)), SOLVED), len(questions)),
        Figure("words", _bins(pc.count_substring_regex(questions["question"], r"\S+")), len(questions)),
        Figure("tags", *_most(_counted(pc.list_flatten(questions["tags"])), len(questions))),
        Figure("world", _counted(questions["world"]), len(questions)),
    ]
    if len(rows):
        kept = rows.filter(pc.equal(rows["fate"], ACCEPTED))
        found += [
            Figure("stop", _counted(rows["stop_reason"]), len(rows)),
            Figure("tools", {label: pc.sum(holds(rows["tools"], label)).as_py() for label in labels(rows["tools"])}, len(rows)),
            Figure("calls", _bins(rows["tool_calls"]), len(rows)),
            Figure("tokens", _bins(kept["tokens"]), len(kept)),
        ]
    return [figure for figure in found if figure.counts]


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    counted = [(str(each["values"]), each["counts"]) for each in pc.value_counts(column).to_pylist() if each["values"] is not None]
    return dict(sorted(counted, key=lambda item: (-item[1], item[0])))


def _by_number(column: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted(_counted(column).items(), key=lambda item: int(item[0])))


def _ordered(counts: Mapping[str, int], order: Sequence[str]) -> dict[str, int]:
    return {name: counts[name] for name in order if name in counts}


def _most(counts: Mapping[str, int], of: int) -> tuple[dict[str, int], int, int]:
    return dict(list(counts.items())[:MOST]), of, max(0, len(counts) - MOST)


def _bins(column: pa.ChunkedArray) -> dict[str, int]:
    """Up to `BINS` ranges with round ends, the last one closed: `2–4`; single numbers where there are few."""
    values = pc.drop_null(column).to_numpy()
    if not len(values):
        return {}
    low, high = float(values.min()), float(values.max())
    whole = bool(np.issubdtype(values.dtype, np.integer))
    if whole and high - low < BINS:
        return {str(value): int((values == value).sum()) for value in range(int(low), int(high) + 1)}
    width = _round_width((high - low) / BINS, whole)
    first = np.floor(low / width) * width
    ends = first + width * np.arange(int((high - first) // width) + 2)
    counts = np.histogram(values, ends)[0]
    return {f"{_short(begin)}–{_short(end)}": int(count) for begin, end, count in zip(ends, ends[1:], counts, strict=False)}


def _round_width(least: float, whole: bool) -> float:
    """The least of 1, 2, 2.5 and 5 times a power of ten that is no less."""
    power = 10.0 ** np.floor(np.log10(least)) if least > 0 else 1.0
    width = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= least)
    return float(max(1.0, np.ceil(width))) if whole else float(width)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Common:
    """How much of the second data set is in the first one already: counts of the second's questions and answers."""

    same_questions: int
    """By id or by wording."""
    near_duplicates: int | None
    """Further ones that share most of their wording; None where there are too many to compare."""
    same_answers: int
    questions: int
    answers: int


def in_common(first: pa.Table, second: pa.Table) -> Common:
    """Of the questions of two sets."""
    ids, texts = set(first["id"].to_pylist()), {normalise(text) for text in first["question"].to_pylist()}
    others = list(zip(second["id"].to_pylist(), second["question"].to_pylist(), strict=True))
    same = [own in ids or normalise(text) in texts for own, text in others]
    alike: int | None = None
    if len(first) + len(second) <= COMPARABLE:
        border = len(first)
        pairs = near_duplicates([*first["question"].to_pylist(), *(text for _, text in others)])
        near = {pair.second - border for pair in pairs if pair.first < border <= pair.second}
        alike = sum(not same[place] for place in sorted(near))
    answers = {normalise(answer) for answer in first["answer"].to_pylist()}
    own = {normalise(answer) for answer in second["answer"].to_pylist()}
    return Common(sum(same), alike, len(own & answers), len(others), len(own))


@dataclass(frozen=True, slots=True)
class Doubles:
    """Questions of one set that are alike."""

    pairs: Sequence[tuple[int, int, float]]
    """Places, and the share of wording that is the same; the likest first."""
    questions: int
    """Those that are like an earlier one."""


def doubles(texts: Sequence[str]) -> Doubles | None:
    """None where there are too many to compare."""
    if len(texts) > COMPARABLE:
        return None
    found = sorted(near_duplicates(texts), key=lambda pair: (-pair.similarity, pair.first, pair.second))
    return Doubles([(pair.first, pair.second, pair.similarity) for pair in found], len({pair.second for pair in found}))


def parts(questions: pa.Table) -> dict[str, int]:
    """Part of the set (train, valid, test) → questions; empty where nothing is split."""
    tags = pc.list_flatten(questions["tags"]) if len(questions) else pa.array([], pa.string())
    return {tag.removeprefix(TAG): count for tag, count in sorted(_counted(tags).items()) if tag.startswith(TAG)}


def options(questions: pa.Table) -> dict[str, dict[str, int]]:
    """What a selection of questions can ask for by value, and how many questions answer it."""
    if not len(questions):
        return {"paradigm": {}, "kind": {}, "hops": {}, "tag": {}}
    found = {name: _counted(questions[name]) for name in ("paradigm", "kind")}
    return found | {"hops": _by_number(questions["hops"]), "tag": _counted(pc.list_flatten(questions["tags"]))}
