"""Questions from elsewhere: nothing is proved of them, and they say so. And ours in the form of MedResearcher-R1's question files.

That form is one object per line: `question`, `answer`, `reasoning_path` (text, entities as placeholders), `entity_mapping` (placeholder →
name); the article (arXiv 2508.14880) speaks of a `reasoning_chain` of triples, which is read and written as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import InputError, nearest
from engine.records import derive_id
from samplers.records import Paradigm, Placeholder, Question, Step

FIELDS = ("question", "answer", "aliases", "id", "reasoning_path", "entity_mapping", "reasoning_chain")
FORM = (
    'write one {"question": "…", "answer": "…"} per line; "aliases" (a list of strings), "id", "reasoning_path", "entity_mapping" and '
    '"reasoning_chain" are optional'
)

_NUMBERING = re.compile(r"^\s*(?:\d+[.)]|[-*])\s*")
_TRIPLE_KEYS = (("source", "subject", "head", "from"), ("relation", "predicate"), ("target", "object", "tail", "to"))


def read_questions(path: str | Path) -> list[Question]:
    """A `.jsonl` file, or a JSON list of the same objects → uncertified questions, in its order; further fields are ignored.

    Raises:
        InputError: names the file, the line, what is wrong and how to mend it.
    """
    path = Path(path)
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, value in _objects(path):
        question = _question(path, number, value)
        if question.id in seen:
            raise InputError(path, f"repeats the question of line {seen[question.id]}", "remove one, or give each its own id", number)
        seen[question.id] = number
        questions.append(question)
    if not questions:
        raise InputError(path, "holds no question", FORM)
    return questions


def write_questions(questions: Iterable[Question]) -> bytes:
    """The same in MedResearcher-R1's form, a line each; `read_questions` reads it back, without the proof."""
    return "".join(json.dumps(_wire(question), ensure_ascii=False) + "\n" for question in questions).encode()


def _wire(question: Question) -> dict[str, Any]:
    steps = question.cheat_sheet
    return {
        "id": question.id,
        "question": question.text,
        "answer": question.answer,
        "aliases": list(question.answer_aliases),
        "reasoning_path": "\n".join(f"{number}. {step.text}" for number, step in enumerate(steps, 1)),
        "entity_mapping": {placeholder.name: placeholder.label for placeholder in question.placeholders},
        "reasoning_chain": [[step.source, step.relation, step.target] if step.forward else [step.target, step.relation, step.source]
                            for step in steps if step.relation],
        "source_entity": question.seed_name,
        "sampling_algorithm": question.strategy,
    }  # fmt: skip


def _objects(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """(line, object) of each; in a JSON list the line is the place in it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "name a .jsonl file that exists") from None
    if data.lstrip().startswith(b"["):
        listed = _json(path, 1, data)
        return [(number, _mapping(path, number, value)) for number, value in enumerate(listed, 1)]
    return [(number, _object(path, number, line)) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]


def _object(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    return _mapping(path, number, _json(path, number, line))


def _json(path: Path, number: int, text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(path, "is not UTF-8", "save the file as UTF-8", number) from None
    except json.JSONDecodeError as error:
        raise InputError(path, f"is not JSON: {error.msg} at column {error.colno}", FORM, number) from None
    except (ValueError, RecursionError) as error:  # lists in lists in lists, a number of thousands of digits
        raise InputError(path, f"cannot be read as JSON: {error}"[:200], FORM, number) from None


def _mapping(path: Path, number: int, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(path, f"is no JSON object but {value!r:.40}", FORM, number)
    return value


def _question(path: Path, number: int, value: Mapping[str, Any]) -> Question:
    text, answer = _text(path, number, value, "question"), _text(path, number, value, "answer")
    aliases = value.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise InputError(path, "'aliases' is no list of strings", FORM, number)
    placeholders = _placeholders(path, number, value)
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
        seed_name=str(value.get("source_entity") or ""),
        strategy=str(value.get("sampling_algorithm") or ""),
        certified=False,
        certificate=None,
        cheat_sheet=_steps(path, number, value, [placeholder.name for placeholder in placeholders]),
        placeholders=placeholders,
    )


def _placeholders(path: Path, number: int, value: Mapping[str, Any]) -> tuple[Placeholder, ...]:
    """Everything in the mapping is hidden: nobody says which of the names the question prints."""
    mapping = value.get("entity_mapping") or {}
    if not isinstance(mapping, dict) or not all(isinstance(name, str) and isinstance(label, str) for name, label in mapping.items()):
        raise InputError(path, "'entity_mapping' is no object of placeholder and name", FORM, number)
    return tuple(Placeholder(name=name.strip("[] "), entity="", label=label, hidden=True) for name, label in mapping.items())


def _steps(path: Path, number: int, value: Mapping[str, Any], names: Sequence[str]) -> tuple[Step, ...]:
    """The reasoning path: the triples where there are such, else the lines of the text, which name no relation."""
    chain = value.get("reasoning_chain") or []
    path_ = value.get("reasoning_path") or []
    if not isinstance(chain, (list, str)) or not isinstance(path_, (list, str)):
        raise InputError(path, "'reasoning_path' and 'reasoning_chain' must be a text or a list", FORM, number)
    triples = [triple for link in chain if (triple := _triple(link))] if isinstance(chain, list) else []
    lines = path_ or (chain if not triples else [])
    listed = lines.split("\n") if isinstance(lines, str) else [str(line) for line in lines]
    texts = [_bracketed(_NUMBERING.sub("", line).strip(), names) for line in listed if line.strip()]
    if triples:
        told = texts if len(texts) == len(triples) else [f"[{source}] {relation} [{target}]" for source, relation, target in triples]
        return tuple(_step(text, *triple) for text, triple in zip(told, triples, strict=True))
    ends = (re.findall(r"\[([^\[\]]+)\]", text) or [""] for text in texts)
    return tuple(_step(text, found[0], "", found[-1]) for text, found in zip(texts, ends, strict=True))


def _step(text: str, source: str, relation: str, target: str) -> Step:
    return Step(text=text, source=source, relation=relation, forward=True, target=target)


def _triple(link: Any) -> tuple[str, str, str] | None:
    """`[source, relation, target]`, or an object with such keys."""
    if isinstance(link, dict):
        link = [next((link[key] for key in keys if key in link), None) for keys in _TRIPLE_KEYS]
    if not isinstance(link, list) or len(link) != 3 or not all(isinstance(part, str) and part.strip() for part in link):
        return None
    source, relation, target = link
    return source.strip("[] "), relation.strip(), target.strip("[] ")


def _bracketed(text: str, names: Sequence[str]) -> str:
    """Placeholders in brackets, as our own steps have them, the longest name first."""
    if not names:
        return text
    listed = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"\[?(?<![A-Za-z0-9_])({listed})(?![A-Za-z0-9_])\]?", r"[\1]", text)


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
