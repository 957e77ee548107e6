"""Mark an evaluation's answers by hand, without seeing the judge's verdict, and learn how far the judge agrees with you.

    python -m scripts.mark run.dir=runs/eval                      # writes runs/eval/mark.html: 100 answers that are not word for word right
    python -m scripts.mark run.dir=runs/eval n=30 seed=1 out=page.html
    python -m scripts.mark run.dir=runs/eval marks=marks.json     # agreement, Cohen's kappa, and which way the judge errs

The page needs no network. “Save marks” downloads marks.json; given back with marks=, the page opens with them filled in.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.answers import answers_match
from agents.curate.verdict import Verdict
from engine.errors import ConfigError, InputError
from engine.records import derive_id, derive_rng
from scripts.marks import Command, Mark, form, page, read_marks
from scripts.report.markup import Html, tag
from serve.evals.comparison import cohens_kappa
from serve.evals.evaluated import read_evaluated
from serve.evals.records import Graded
from serve.evals.score import answer_key

PAGE = "mark.html"
COMMAND = Command("scripts.mark", __doc__, "the directory of an evaluation", "answers", 100, PAGE)

SAID = {Verdict.RIGHT: "right", Verdict.WRONG: "wrong", Verdict.UNKNOWN: "unclear"}
"""A judge's verdict in the words of the marks."""


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    return COMMAND.run(arguments, mark)


def mark(options: argparse.Namespace) -> list[str]:
    """Write the page; what is to be said about it and about the marks.

    Raises:
        UserError: no evaluation, marks of another sample, or the page cannot be written.
    """
    run = read_evaluated(options.run_dir)
    sample = draw(run.graded, options.n, options.seed)
    if not sample:
        problem = "holds no answer that takes a person: all are word for word right, or missing"
        raise InputError(options.run_dir, problem, "there is nothing to do")
    read = read_marks(Path(options.marks), sample_id(sample), [row.id for row in sample]) if options.marks else {}
    marks = {key: given for key, given in read.items() if given.mark}
    written = COMMAND.write(write_page(sample, marks), options.out, run.storage)
    return [*(agreement(sample, marks) if options.marks else []), written]


def draw(graded: Sequence[Graded], number: int, seed: int) -> list[Graded]:
    """A simple random sample of the different answers that comparing text does not settle, the same for the same rollouts and seed.

    Raises:
        ConfigError: the number is not positive.
    """
    if number < 1:
        raise ConfigError("n", f"{number} answers cannot be drawn", "give a number of 1 or more")
    open_ones = {
        (row.question_id, answer_key(row.given)): row
        for row in sorted(graded, key=lambda row: row.id, reverse=True)
        if row.given and not answers_match(row.given, row.answer, row.accepted)
    }
    rows = sorted(open_ones.values(), key=lambda row: row.id)
    return derive_rng(seed, "sample", "mark").sample(rows, min(number, len(rows)))


def agreement(sample: Sequence[Graded], marks: Mapping[str, Mark]) -> list[str]:
    """How far the judge and the person agree, in words."""
    both = [(SAID[row.verdict], marks[row.id].mark) for row in sample if row.id in marks]
    if not both:
        return ["nothing is marked yet"]
    judged, marked = zip(*both, strict=True)
    agreed, kappa = sum(one == other for one, other in both), cohens_kappa(judged, marked)
    told = "undefined: both always say the same" if kappa is None else f"{kappa:.2f}"
    lines = [f"{len(both)} of {len(sample)} marked; the judge agrees on {agreed} ({agreed / len(both):.0%}), Cohen's kappa {told}"]
    apart = Counter(f"the judge says {one}, you say {other}" for one, other in both if one != other)
    return [*lines, *(f"  {pair}: {count}" for pair, count in sorted(apart.items(), key=lambda item: (-item[1], item[0])))]


def sample_id(sample: Sequence[Graded]) -> str:
    """Which answers these are."""
    return derive_id(*(f"{row.id} {row.given}" for row in sample))


def write_page(sample: Sequence[Graded], marks: Mapping[str, Mark]) -> str:
    """The whole page. The judge's verdict is not on it: who knows it agrees with it."""
    told = f"{len(sample)} answers, drawn at random from those that are not word for word right. Does each say the same as the reference?"
    articles = (_article(number, row, marks.get(row.id, Mark())) for number, row in enumerate(sample, start=1))
    return page(f"{len(sample)} answers to mark", "Are these answers right?", told, articles, sample_id(sample))


def _article(number: int, row: Graded, given: Mark) -> Html:
    also = f" (also {', '.join(row.accepted[1:])})" if row.accepted[1:] else ""
    parts = [
        tag("h2", f"{number}. {row.question}"),
        tag("p", "Reference: ", tag("strong", row.answer), also),
        tag("p", "Answer: ", tag("strong", row.given or "")),
        form(row.id, given),
    ]
    return tag("article", *parts, id=row.id)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
