"""xbench-DeepSearch: Chinese questions for searching agents; each row is combined with its own canary, repeated."""

from __future__ import annotations

from pathlib import Path

from serve.evals.benchmarks.benchmark import Benchmark, Loaded, Manifest, open_scorer, question
from serve.evals.benchmarks.ciphers import unxor
from serve.evals.benchmarks.rows import Row, read_rows

NAME = "xbench"
COLUMNS = ("id", "prompt", "answer", "canary")

MANIFEST = Manifest(
    title="xbench-DeepSearch",
    source="https://github.com/xbench-ai/xbench-evals (data/DeepSearch.csv, data/DeepSearch-2510.csv), "
    "https://huggingface.co/datasets/xbench/DeepSearch and …/DeepSearch-2510",
    version="2505 or 2510, see the file's name",
    licence="MIT (LICENSE of github.com/xbench-ai/xbench-evals, which holds the files and asks not to publish them in plain text)",
    paper="arXiv 2506.13651",
    sizes={"DeepSearch": 100},
)


def read(path: Path) -> Loaded:
    """Questions in the file's order."""
    return Loaded([question(NAME, _clear(row, "prompt"), _clear(row, "answer"), key=row.text("id")) for row in read_rows(path, COLUMNS)])


def _clear(row: Row, column: str) -> str:
    try:
        return unxor(row.text(column), row.text("canary").encode())
    except ValueError as error:
        raise row.wrong(f"{column} does not decrypt with the row's canary ({error})", "give the file as it was published") from None


XBENCH = Benchmark(
    name=NAME, manifest=MANIFEST, recognises=lambda columns: set(COLUMNS) <= columns, read=read, score=open_scorer, style="browsecomp",
)  # fmt: skip
