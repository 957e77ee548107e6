"""A data set in numbers, and what two of them have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.curate.duplicates import lesson
from agents.curate.evidence import is_error
from agents.records import TrainingRow
from samplers.graph.names import normalise
from samplers.questions.likeness import near_duplicates
from samplers.records import Question, WordedBy
from serve.evals.statistics import quantiles

DIGITS = 6
"""Kept of every number."""


@dataclass(frozen=True)
class DataSet:
    """Questions, and the conversations that teach how to answer them."""

    name: str
    questions: Sequence[Question]
    """Sorted by id, each once."""
    rows: Sequence[TrainingRow]
    """Sorted by id, each once; none where the data set is of questions alone."""
    unread: int = 0
    """Lines of its file that hold neither."""


def figures(data: DataSet) -> dict[str, Any]:
    """Every number of one data set, JSON-ready; shares are from 0 to 1, and empty groups are left out."""
    questions, rows = data.questions, data.rows
    results = [message for row in rows for message in row.messages if message.role == "tool"]
    alike = {pair.second for pair in near_duplicates([row.text for row in questions])}
    calls: Counter[str] = Counter()
    for row in rows:
        calls.update({call.name for message in row.messages for call in message.tool_calls})
    told: dict[str, Any] = _rounded(
        {
            "rows": len(rows),
            "questions": len(questions),
            "answers": len({normalise(row.answer) for row in questions if row.answer}),
            "seeds": len({row.trace_id for row in questions}),
            "unread": data.unread,
            "certified": _share(row.certified for row in questions),
            "worded_by_model": _share(row.worded_by is WordedBy.LLM for row in questions),
            "near_duplicates": len(alike) / len(questions) if questions else None,
            "hops": _shares(Counter(str(row.hops) if row.hops else "not known" for row in questions), len(questions)),
            "paradigms": _shares(Counter(row.paradigm.value for row in questions), len(questions)),
            "tools": _shares(calls, len(rows)),
            "mean_hops": _mean([row.hops for row in questions if row.hops]),
            "question_words": quantiles([len(row.text.split()) for row in questions]),
            "row_tokens": quantiles([row.tokens for row in rows]),
            "turns": quantiles([sum(message.role == "assistant" for message in row.messages) for row in rows]),
            "tool_calls": quantiles([row.tool_calls for row in rows]),
            "error_results": _share(is_error(message) for message in results),
            "judged_right": _share(row.judged.startswith("right") for row in rows if row.judged),
        }
    )
    return told


def same_questions(first: Iterable[Question], second: Iterable[Question]) -> dict[str, str]:
    """Question of the second → the same question of the first, by id; each at most once.

    The same are questions of the same words, and those of one id and one proved query, which a model may have put in other words. An
    id alone says too little: it is made from the seed, which other settings make another question from.
    """
    by_id, by_text = dict[str, Question](), dict[str, Question]()
    for row in first:
        by_id[row.id] = row
        by_text.setdefault(normalise(row.text), row)
    found: dict[str, str] = {}
    taken: set[str] = set()
    for row in second:
        twin = by_text.get(normalise(row.text)) or by_id.get(row.id)
        if twin and twin.id not in taken and (normalise(twin.text) == normalise(row.text) or _same_query(twin, row)):
            found[row.id] = twin.id
            taken.add(twin.id)
    return found


def _same_query(one: Question, other: Question) -> bool:
    return one.certificate is not None and other.certificate is not None and one.certificate.query == other.certificate.query


def in_common(first: DataSet, second: DataSet) -> dict[str, int]:
    """How much of the second data set is in the first one already; each count is of the second's questions, answers, seeds or rows."""
    same = same_questions(first.questions, second.questions).keys()
    border = len(first.questions)
    pairs = near_duplicates([row.text for row in (*first.questions, *second.questions)])
    alike = {second.questions[pair.second - border].id for pair in pairs if pair.first < border <= pair.second}
    answers = {normalise(row.answer) for row in first.questions}
    lessons = {lesson(row) for row in first.rows}
    return {
        "same_questions": len(same),
        "near_duplicates": len(alike - same),
        "same_answers": len({found for row in second.questions if row.answer and (found := normalise(row.answer)) in answers}),
        "same_seeds": len({row.trace_id for row in first.questions} & {row.trace_id for row in second.questions}),
        "same_rows": sum(lesson(row) in lessons for row in second.rows),
    }


def _share(values: Iterable[bool]) -> float | None:
    return _mean([float(value) for value in values])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _shares(counts: Mapping[str, int], of: int) -> dict[str, float]:
    return {name: counts[name] / of for name in sorted(counts)}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    return {name: _rounded(item) for name, item in value.items()} if isinstance(value, dict) else value
