"""Marking an evaluation's answers by hand: what is drawn, what the page hides, and what the marks say of the judge."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.mark import PAGE, draw, main
from serve.evals.evaluated import read_evaluated
from tests.scripts.test_compare import QUESTIONS, evaluation


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Twelve questions, three of them answered word for word, the others with a guess that the judge calls wrong."""
    return evaluation(tmp_path / "run", 3)


def marks(page: str, said: list[str]) -> str:
    sample = re.search(r'data-sample="(\w+)"', page)
    ids = re.findall(r'<article id="([^"]+)"', page)
    assert sample
    return json.dumps({"sample": sample.group(1), "marks": {key: {"mark": mark, "note": ""} for key, mark in zip(ids, said, strict=False)}})


def test_answers_that_text_settles_are_not_drawn_and_the_verdict_is_not_shown(run: Path) -> None:
    assert main([f"run.dir={run}"]) == 0
    page = (run / PAGE).read_text()
    assert page.count("<article") == 9 and "a &lt;guess&gt;" in page and "://" not in page
    assert "match" not in page.partition("<main")[2].partition("</main>")[0] and "reading_miss" not in page
    rows = read_evaluated(str(run)).graded
    assert [row.id for row in draw(rows, 4, 1)] == [row.id for row in draw(rows[::-1], 4, 1)] != [row.id for row in draw(rows, 4, 2)]
    assert len(draw([*rows, *rows], 100, 0)) == 9  # the same answer to the same question is marked once


def test_marks_say_how_far_the_judge_agrees_and_come_back_into_the_page(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([f"run.dir={run}"])
    saved = run.parent / "marks.json"
    saved.write_text(marks((run / PAGE).read_text(), ["wrong"] * 5 + ["right"] * 2 + ["unclear"]))
    capsys.readouterr()
    assert main([f"run.dir={run}", f"marks={saved}"]) == 0
    told = capsys.readouterr().out
    assert "8 of 9 marked; the judge agrees on 5 (62%), Cohen's kappa 0.00" in told
    assert "the judge says wrong, you say right: 2" in told and "the judge says wrong, you say unclear: 1" in told
    assert (run / PAGE).read_text().count('checked="checked"') == 8
    saved.write_text(marks((run / PAGE).read_text(), []))
    main([f"run.dir={run}", f"marks={saved}"])
    assert "nothing is marked yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "content", "told"),
    [
        (["n=0"], "", "cannot be drawn"),
        (["marks=MARKS"], "no json", "holds no marks"),
        (["marks=MARKS"], '{"sample": "x", "marks": {}}', "marks another sample"),
        (["marks=MARKS"], "maybe", "holds the mark 'maybe'"),
        (["marks=nowhere.json"], "", "holds no marks"),
    ],
)
def test_what_is_wrong_is_said(run: Path, arguments: list[str], content: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([f"run.dir={run}"])
    saved = run.parent / "marks.json"
    saved.write_text(marks((run / PAGE).read_text(), ["maybe"]) if content == "maybe" else content)
    assert main([f"run.dir={run}", *(argument.replace("MARKS", str(saved)) for argument in arguments)]) == 2
    assert told in capsys.readouterr().err


def test_an_evaluation_without_open_answers_has_nothing_to_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"run.dir={evaluation(tmp_path / 'run', len(QUESTIONS))}"]) == 2
    assert "no answer that takes a person" in capsys.readouterr().err
