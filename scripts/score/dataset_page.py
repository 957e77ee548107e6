"""Data sets side by side: a table for terminal and page, and the pairs that a judge has looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import scripts.report
from scripts.report.markup import Html, join, table, tag
from scripts.score.preference import Judged
from serve.evals.pairs import Pair
from serve.evals.pairwise import AGREED, Outcome
from serve.evals.report import Figures, estimate_cells, percent

NUMBERS = {
    "rows": "training rows",
    "questions": "questions",
    "answers": "different answers",
    "seeds": "seeds",
    "unread": "lines that cannot be read",
    "mean_hops": "hops, mean",
}
SHARES = {
    "certified": "proved questions",
    "worded_by_model": "questions worded by a model",
    "near_duplicates": "near duplicates among its questions",
    "judged_right": "judged rows that are right",
    "error_results": "tool results that tell of an error",
}
SPREADS = {
    "question_words": "words of a question",
    "row_tokens": "tokens of a row",
    "turns": "turns of a row",
    "tool_calls": "tool calls of a row",
}
GROUPS = {"hops": "questions of {} hops", "paradigms": "questions: {}", "tools": "rows that call {}"}
COMMON = {
    "same_questions": "questions that the first has too",
    "near_duplicates": "further questions that are nearly the same as one of the first",
    "same_answers": "answers that the first has too",
    "same_seeds": "seeds that the first has too",
    "same_rows": "rows that teach the same as one of the first",
}
OUTCOMES = {
    Outcome.FIRST: "{first} is better",
    Outcome.SECOND: "{second} is better",
    Outcome.EQUAL: "neither is",
    Outcome.ALWAYS_A: "what was shown first, both times",
    Outcome.ALWAYS_B: "what was shown second, both times",
    Outcome.WAVERED: "equal in one order only",
    Outcome.UNREADABLE: "no verdict that can be read",
    Outcome.FAILED: "failed; tried again by the same command",
}
WIN_COLUMNS = ("pairs of", "second is better", "95 % interval", "standard error", "decided pairs", "clusters")


def number_rows(found: Sequence[Figures]) -> list[list[str]]:
    """A line per number, a column per data set; lines that are empty for all are left out."""
    rows = [[label, *(_number(each[key]) for each in found)] for key, label in NUMBERS.items()]
    rows += [[label, *(_percent(each[key]) for each in found)] for key, label in SHARES.items()]
    rows += [[f"{label}: mean, p50, p95", *(_spread(each[key]) for each in found)] for key, label in SPREADS.items()]
    for key, label in GROUPS.items():
        rows += [[label.format(name), *(_percent(each[key].get(name, 0.0)) for each in found)] for name in _names(found, key)]
    return [row for row in rows if set(row[1:]) - {"–", "0"}]


def common_rows(names: Sequence[str], common: Sequence[Figures]) -> list[list[str]]:
    """What each further data set shares with the first; `names` are theirs."""
    return [[label, *(f"{each[key]:,}" for each in common)] for key, label in COMMON.items()] if names else []


def preference_rows(judged: Judged) -> list[list[str]]:
    """A line per outcome."""
    found = judged.preferences
    names = {"first": found.first, "second": found.second}
    return [[label.format(**names), f"{found.counts[each]:,}"] for each, label in OUTCOMES.items() if found.counts[each] or each in AGREED]


def write_page(names: Sequence[str], found: Sequence[Figures], common: Sequence[Figures], judged: Judged | None, shown: int) -> str:
    """The whole page.

    Args:
        found: numbers of each data set.
        common: of each but the first, what it shares with the first.
        shown: pairs in the list at the end.
    """
    frame, title = Path(scripts.report.__file__).parent, " against ".join(reversed(names))
    sections = [
        _section("In numbers", table(("", *names), number_rows(found))),
        _section(f"In common with {names[0]}", table(("", *names[1:]), common_rows(names[1:], common))),
    ]
    return Template((frame / "page.html").read_text(encoding="utf-8")).substitute(
        title=join([f"{title} · HopForge"]),
        style=(frame / "style.css").read_text(encoding="utf-8"),
        header=join([tag("h1", title), *(tag("p", told) for told in (judged.preferences.sentences if judged else ()))]),
        body=join([*sections, *(_preference(judged, shown) if judged else ())]),
    )


def _preference(judged: Judged, shown: int) -> Iterator[Html]:
    found = judged.preferences
    groups = [[name, *estimate_cells(each)] for name, each in found.figures()["by_group"].items()]
    yield _section("What the judge says of pairs", table(("better in both orders", "pairs"), preference_rows(judged)))
    if groups:
        yield _section("By what the pairs have in common", table(WIN_COLUMNS, groups))
    yield _section("Pairs", *(_pair(judged, pair) for pair in _some_of_each(judged)[:shown]))
    facts = [[name.replace("_", " "), _plain(value)] for name, value in judged.facts.items()]
    yield _section("How to get this again", table(("what", "value"), facts, texts=2))


def _some_of_each(judged: Judged) -> list[Pair]:
    """All pairs, outcomes in turns: the first few show every kind of verdict."""
    found, order = judged.preferences, list(Outcome)
    turns: Counter[Outcome] = Counter()
    ranked: list[tuple[int, int, Pair]] = []
    for pair in found.pairs:
        kind = found.outcomes[pair.id]
        ranked.append((turns[kind], order.index(kind), pair))
        turns[kind] += 1
    return [pair for *_, pair in sorted(ranked, key=lambda each: each[:2])]


def _pair(judged: Judged, pair: Pair) -> Html:
    found = judged.preferences
    verdict = OUTCOMES[found.outcomes[pair.id]].format(first=found.first, second=found.second)
    said = [row for row in judged.said if row.pair_id == pair.id]
    reasons = [tag("p", f"{'swapped' if row.swapped else 'in order'}: {row.choice}. {row.reason}") for row in said]
    texts = [tag("div", tag("h3", tag("b", name)), tag("pre", text, style="white-space:pre-wrap"))
             for name, text in ((found.first, pair.first), (found.second, pair.second))]  # fmt: skip
    about = f"{pair.match.value.replace('_', ' ')}; {pair.kind}; {pair.first_id[:8]} and {pair.second_id[:8]}"
    details = tag("details", tag("summary", "both, as the judge read them"), tag("div", *texts, class_="charts"))
    return tag("article", tag("p", tag("b", verdict)), *reasons, tag("p", about, class_="muted"), details)


def _names(found: Sequence[Figures], key: str) -> list[str]:
    return sorted({name for each in found for name in each[key]})


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _spread(value: Mapping[str, float]) -> str:
    return ", ".join(f"{value[part]:,.1f}" for part in ("mean", "p50", "p95")) if value else "–"


def _plain(value: Any) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in value.items()) or "none" if isinstance(value, Mapping) else str(value)


def _section(title: str, *inside: Html) -> Html:
    return tag("section", tag("h2", title), *inside)
