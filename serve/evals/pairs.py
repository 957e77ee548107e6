"""Rows of two data sets put side by side, as a judge is shown them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agents.formats import spell_call
from agents.records import TrainingRow
from engine.records import Record, derive_id, derive_rng
from samplers.records import Question
from serve.evals.dataset import DataSet, same_questions

MOST_SHOWN = 8000
"""Characters of a row that the judge reads; of longer ones the middle is left out."""

RESULT_SHOWN = 400
"""Characters of a tool's result: enough to see what was found."""


class Match(StrEnum):
    """What the two rows of a pair have in common."""

    SAME_QUESTION = "same_question"
    SAME_KIND = "same_kind"
    """Different questions of one paradigm and number of hops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(Record):
    """A row of each data set, as they are shown. `trace_id` is the seed of the first: pairs that share it are one cluster."""

    match: Match
    kind: str
    """Paradigm and hops."""
    first_id: str
    second_id: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class _Entry:
    question: Question
    row: TrainingRow | None

    @property
    def id(self) -> str:
        """Of the row, where there is one."""
        return self.row.id if self.row else self.question.id

    @property
    def kind(self) -> str:
        return f"{self.question.paradigm.value}, {self.question.hops} hops" if self.question.hops else self.question.paradigm.value


def draw_pairs(first: DataSet, second: DataSet, most: int, seed: int) -> list[Pair]:
    """At most so many pairs, one per question: questions that both have, then questions of one kind, drawn by `seed`.

    With more of them, the fewer are the beginning of the more, so a comparison can be made larger later. Seeds take turns, because
    pairs of one seed tell little more than one of them. Where both have rows, rows are compared, else the questions alone.
    """
    with_rows = bool(first.rows and second.rows)
    ours, theirs = _entries(first, with_rows), _entries(second, with_rows)
    twins = same_questions([entry.question for entry in ours], [entry.question for entry in theirs])
    by_question = {entry.question.id: entry for entry in ours}
    same = [(by_question[twins[entry.question.id]], entry) for entry in theirs if entry.question.id in twins]
    taken = set(twins.values())
    alone = [entry for entry in ours if entry.question.id not in taken]
    left = [entry for entry in theirs if entry.question.id not in twins]
    found = [_pair(Match.SAME_QUESTION, *each) for each in same]
    drawn = [_pair(Match.SAME_KIND, *each) for each in _same_kind(alone, left, seed)]
    return [*_in_turns(found, seed), *_in_turns(drawn, seed)][:most]


def _entries(data: DataSet, with_rows: bool) -> list[_Entry]:
    """One per question, by id; of its rows the one of the earliest rollout."""
    if not with_rows:
        return [_Entry(question, None) for question in data.questions]
    rows: dict[str, TrainingRow] = {}
    for row in sorted(data.rows, key=lambda row: (row.rollout, row.id)):
        rows.setdefault(row.question_id, row)
    return [_Entry(question, rows[question.id]) for question in data.questions if question.id in rows]


def _same_kind(ours: Sequence[_Entry], theirs: Sequence[_Entry], seed: int) -> list[tuple[_Entry, _Entry]]:
    kinds: defaultdict[str, tuple[list[_Entry], list[_Entry]]] = defaultdict(lambda: ([], []))
    for place, side in enumerate((ours, theirs)):
        for entry in sorted(side, key=lambda entry: entry.id):
            kinds[entry.kind][place].append(entry)
    pairs: list[tuple[_Entry, _Entry]] = []
    for kind, sides in sorted(kinds.items()):
        for name, side in zip(("first", "second"), sides, strict=True):
            derive_rng(seed, kind, f"pairs/{name}").shuffle(side)
        pairs += zip(*sides, strict=False)
    return pairs


def _in_turns(pairs: Iterable[Pair], seed: int) -> list[Pair]:
    """In drawn order, the first pair of every seed before any second one."""
    turns: Counter[str] = Counter()
    ranked: list[tuple[int, Pair]] = []
    for pair in sorted({pair.id: pair for pair in pairs}.values(), key=lambda pair: derive_id("pairs", seed, pair.id)):
        ranked.append((turns[pair.trace_id], pair))
        turns[pair.trace_id] += 1
    return [pair for _, pair in sorted(ranked, key=lambda each: each[0])]


def _pair(match: Match, ours: _Entry, theirs: _Entry) -> Pair:
    both_answered = bool(ours.question.answer and theirs.question.answer)
    first, second = (shown(entry.question, entry.row, both_answered) for entry in (ours, theirs))
    return Pair(
        id=derive_id("pair", first, second), trace_id=ours.question.trace_id, match=match, kind=ours.kind, first_id=ours.id,
        second_id=theirs.id, first=first, second=second,
    )  # fmt: skip


def shown(question: Question, row: TrainingRow | None, with_answer: bool) -> str:
    """A row as a judge reads it: question, answer where that is known of both, and the conversation without its system prompt."""
    parts = [f"Question: {question.text}", *([f"Right answer: {question.answer}"] if with_answer else [])]
    for message in row.messages if row else ():
        if message.role in ("assistant", "tool"):
            said = message.content if message.role == "assistant" else _cut(message.content, RESULT_SHOWN)
            parts.append("\n".join([f"[{message.role}] {said}", *(f"→ {spell_call(call)}" for call in message.tool_calls)]))
    text = "\n\n".join(parts).replace("candidate_", "candidate ")  # the tags around it are the prompt's alone
    return _cut(text, MOST_SHOWN)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}\n[… {len(text) - most:,} characters left out …]\n{text[-(most // 2) :]}"
