"""Questions from elsewhere: nothing is proved of them, and they say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError, nearest
from engine.records import derive_id
from samplers.records import Paradigm, Question

FIELDS = ("question", "answer", "aliases", "id")
FORM = 'write one {"question": "…", "answer": "…"} per line; "aliases" (a list of strings) and "id" are optional'


def read_questions(path: str | Path) -> list[Question]:
    """A `.jsonl` file → uncertified questions, in the order of the file; further fields are ignored.

    Raises:
        InputError: names the file, the line, what is wrong and how to mend it.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "name a .jsonl file that exists") from None
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            question = _question(path, number, _object(path, number, line))
            if question.id in seen:
                raise InputError(path, f"repeats the question of line {seen[question.id]}", "remove one, or give each its own id", number)
            seen[question.id] = number
            questions.append(question)
    if not questions:
        raise InputError(path, "holds no question", FORM)
    return questions


def _object(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(path, "is not UTF-8", "save the file as UTF-8", number) from None
    except json.JSONDecodeError as error:
        raise InputError(path, f"is not JSON: {error.msg} at column {error.colno}", FORM, number) from None
    if not isinstance(value, dict):
        raise InputError(path, f"is no JSON object but {value!r:.40}", FORM, number)
    return value


def _question(path: Path, number: int, value: Mapping[str, Any]) -> Question:
    text, answer = _text(path, number, value, "question"), _text(path, number, value, "answer")
    aliases = value.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise InputError(path, "'aliases' is no list of strings", FORM, number)
    given = value.get("id")
    key = derive_id("imported", str(given)) if given is not None else derive_id("imported", text, answer)
    return Question(
        id=key,
        trace_id=key,
        text=text,
        answer=answer,
        answer_aliases=tuple(aliases),
        answer_entity="",
        paradigm=Paradigm.IMPORTED,
        hops=0,
        difficulty=0.0,
        seed_name="",
        strategy="",
        certified=False,
        certificate=None,
        cheat_sheet=(),
        placeholders=(),
    )


def _text(path: Path, number: int, value: Mapping[str, Any], field: str) -> str:
    found = value.get(field)
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        found = str(found)
    if isinstance(found, str) and found.strip():
        return found.strip()
    if field in value:
        raise InputError(path, f"'{field}' is no text but {found!r:.40}", FORM, number)
    near = nearest(field, [key for key in value if key not in FIELDS])
    raise InputError(path, f"has no '{field}'{f' (but {near[0]!r})' if near else ''}", FORM, number)
