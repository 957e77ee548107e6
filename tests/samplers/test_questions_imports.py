"""Imported questions: what is read, and what a wrong file is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import InputError
from samplers.questions.imports import read_questions
from samplers.records import Paradigm


def write(path: Path, *lines: str | bytes) -> Path:
    file = path / "questions.jsonl"
    file.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return file


def test_questions_and_answers_are_read_and_nothing_is_claimed(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "\ufeff" + json.dumps({"question": " Which gene? ", "answer": "LMNA", "aliases": ["lamin A/C"], "id": "a1", "set": "mine"}),
        "",
        json.dumps({"question": "How many?", "answer": 12}),
    )
    first, second = read_questions(file)
    assert (first.text, first.answer, first.answer_aliases) == ("Which gene?", "LMNA", ("lamin A/C",))
    assert (second.answer, second.answer_aliases) == ("12", ())
    for question in (first, second):
        assert question.paradigm is Paradigm.IMPORTED and not question.certified and question.certificate is None
        assert question.hops == 0 and question.id == question.trace_id
    assert read_questions(file) == [first, second]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"question": "Which?"}', "no 'answer'"),
        ('{"question": "Which?", "answers": "x"}', "but 'answers'"),
        ('{"question": "", "answer": "x"}', "'question' is no text"),
        ('{"question": ["Which?"], "answer": "x"}', "'question' is no text"),
        ('{"question": "Which?", "answer": true}', "'answer' is no text"),
        ('{"question": "Which?", "answer": "x", "aliases": "y"}', "no list of strings"),
        ('{"question": "Which?", "answer": "x"', "is not JSON"),
        pytest.param('{"question": "Which?", "hops": ' + "9" * 5000 + "}", "cannot be read as JSON", id="digits"),
        ('["Which?", "x"]', "no JSON object"),
        (b'{"question": "caf\xe9?", "answer": "x"}', "not UTF-8"),
        ('{"question": "First?", "answer": "y"}', "repeats the question of line 1"),
    ],
)
def test_a_wrong_line_is_named_with_a_remedy(tmp_path: Path, line: str | bytes, problem: str) -> None:
    file = write(tmp_path, '{"question": "First?", "answer": "y"}', line)
    with pytest.raises(InputError, match="line 2") as caught:
        read_questions(file)
    assert problem in str(caught.value) and caught.value.remedy


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.jsonl.*cannot be read"):
        read_questions(tmp_path / "no.jsonl")
    with pytest.raises(InputError, match="holds no question"):
        read_questions(write(tmp_path, "", " "))


def test_the_shared_multi_hop_sets_are_read(shared_data: Path) -> None:
    assert len(read_questions(shared_data / "qa" / "hotpot_2wiki_musique_3x30.jsonl")) == 90
