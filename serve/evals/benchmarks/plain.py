"""Questions and answers of your own, a row each: `question`, `answer`, and where wanted `aliases`, `cluster`, `id`, `hops`, `specialty`."""

from __future__ import annotations

from pathlib import Path

from samplers.records import Question
from serve.evals.benchmarks.benchmark import Benchmark, Loaded, Manifest, open_scorer, question
from serve.evals.benchmarks.rows import Row, read_rows

NAME = "plain"
COLUMNS = ("question", "answer")

MANIFEST = Manifest(title="Questions and answers", source="a file of your own", version="", licence="yours")


def read(path: Path) -> Loaded:
    """Questions in the file's order."""
    return Loaded([_question(row) for row in read_rows(path, COLUMNS)])


def _question(row: Row) -> Question:
    specialty = row.maybe("specialty")
    return question(
        NAME,
        row.text("question"),
        row.text("answer"),
        key=row.maybe("id"),
        aliases=row.texts("aliases"),
        cluster=row.maybe("cluster"),
        hops=row.count("hops"),
        tags=(*row.texts("tags"), *((f"specialty:{specialty}",) if specialty else ())),
    )


PLAIN = Benchmark(
    name=NAME, manifest=MANIFEST, recognises=lambda columns: set(COLUMNS) <= columns, read=read, score=open_scorer,
)  # fmt: skip
