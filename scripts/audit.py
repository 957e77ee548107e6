"""Draw a sample of a run's questions as one page for a person to mark, and work out from the marks how many are right.

    python -m scripts.audit run.dir=runs/demo                          # writes runs/demo/audit.html, 200 questions
    python -m scripts.audit run.dir=runs/demo n=50 seed=1 out=page.html
    python -m scripts.audit run.dir=runs/demo marks=marks.json         # the share that is right, with its interval

The page needs no network. “Save marks” downloads marks.json; given back with marks=, the page opens with them filled in.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from engine.errors import ConfigError
from engine.records import derive_id, derive_rng
from samplers.graph.phrases import sentence, verb_phrase
from samplers.graph.schema import GraphSchema, read_schema
from samplers.records import Certificate, Edge, Question
from scripts.marks import MARKS, Command, Mark, form, page, read_marks
from scripts.report.markup import Html, tag
from scripts.verify import read_questions_of
from serve.runs.reading import open_run, path_in_words

PAGE = "audit.html"
COMMAND = Command("scripts.audit", __doc__, "the run directory, e.g. runs/demo", "questions", 200, PAGE)
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share and its 95 % intervals: Wilson's, and Clopper and Pearson's, which never covers less than it says."""

    right: int
    of: int
    wilson: tuple[float, float]
    exact: tuple[float, float]

    def __str__(self) -> str:
        shown = " to ".join(f"{100 * end:.1f}" for end in self.wilson)
        exact = " to ".join(f"{100 * end:.1f}" for end in self.exact)
        return (
            f"{self.right} of {self.of} = {100 * self.right / self.of:.1f} %, 95 % interval {shown} % (Wilson), {exact} % (Clopper-Pearson)"
        )


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    return COMMAND.run(arguments, audit)


def audit(options: argparse.Namespace) -> list[str]:
    """Write the page; what is to be said about it and about the marks.

    Raises:
        UserError: no run, marks of another sample, or the page cannot be written.
    """
    storage, _ = open_run(options.run_dir)
    questions = read_questions_of(storage)
    sample = draw(questions, options.n, options.seed)
    marks = read_marks(Path(options.marks), sample_id(sample), [row.id for row in sample]) if options.marks else {}
    schema = read_schema(Path(storage.path("schema.yaml")))
    written = COMMAND.write(write_page(sample, len(questions), schema, marks), options.out, storage)
    return [*(verdict(marks, len(sample)) if options.marks else []), written]


def draw(questions: Sequence[Question], number: int, seed: int) -> list[Question]:
    """A simple random sample, the same for the same set, number and seed, in drawn order.

    Raises:
        ConfigError: the number is not positive.
    """
    if number < 1:
        raise ConfigError("n", f"{number} questions cannot be drawn", "give a number of 1 or more")
    rows = sorted(questions, key=lambda row: row.id)
    return derive_rng(seed, "sample", "audit").sample(rows, min(number, len(rows)))


def sample_id(sample: Sequence[Question]) -> str:
    """Which questions these are."""
    return derive_id(*(row.id for row in sample))


def verdict(marks: Mapping[str, Mark], drawn: int) -> list[str]:
    """The estimates in words: of what was decided, and with every unclear one taken as wrong."""
    counts = Counter(item.mark for item in marks.values() if item.mark)
    given = sum(counts.values())
    lines = [f"{given} of {drawn} marked: {', '.join(f'{counts[mark]} {mark}' for mark in MARKS)}"]
    if decided := counts["right"] + counts["wrong"]:
        lines.append(f"right: {estimate(counts['right'], decided)}")
    if counts["unclear"]:
        lines.append(f"right, unclear taken as wrong: {estimate(counts['right'], given)}")
    return lines


def estimate(right: int, of: int) -> Estimate:
    """`right` of `of` > 0 trials. The draw is without replacement, so both intervals are on the wide side."""
    test = binomtest(right, of)
    wilson, exact = (test.proportion_ci(CONFIDENCE, method) for method in ("wilson", "exact"))
    return Estimate(right, of, (float(wilson.low), float(wilson.high)), (float(exact.low), float(exact.high)))


def write_page(sample: Sequence[Question], of: int, schema: GraphSchema, marks: Mapping[str, Mark]) -> str:
    """The whole page."""
    told = f"{len(sample)} of {of:,} questions, drawn at random. Is the answer right, and the only right one?"
    articles = (_article(number, row, schema, marks.get(row.id, Mark())) for number, row in enumerate(sample, start=1))
    return page(f"Audit of {len(sample)} questions", "Are these questions right?", told, articles, sample_id(sample))


def _article(number: int, row: Question, schema: GraphSchema, mark: Mark) -> Html:
    also = f" (also {', '.join(row.answer_aliases)})" if row.answer_aliases else ""
    parts = [
        tag("h2", f"{number}. {row.text}"),
        tag("p", "Answer: ", tag("strong", row.answer), also),
        tag("ol", *(tag("li", step) for step in path_in_words(row))),
        _evidence(row, row.certificate, schema) if row.certificate else tag("p", "Nothing is proved of this question.", class_="soft"),
        form(row.id, mark),
    ]
    return tag("article", *parts, id=row.id)


def _evidence(row: Question, certificate: Certificate, schema: GraphSchema) -> Html:
    edges = (*certificate.evidence, *(certificate.second.evidence if certificate.second else ()))
    names = {item.entity: item.label for item in row.placeholders if item.entity}
    lines = (tag("li", _fact(edge, names, schema), tag("span", f" {edge.provenance}", class_="soft")) for edge in edges)
    return tag("details", tag("summary", f"{len(edges)} facts as evidence, and where they come from"), tag("ul", *lines))


def _fact(edge: Edge, names: Mapping[str, str], schema: GraphSchema) -> str:
    source, target = (names.get(end, end) for end in (edge.source, edge.target))
    return sentence(f"{source} {verb_phrase(schema, edge.relation, True, target)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
