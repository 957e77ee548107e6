"""When two answers are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable

from samplers.graph.names import normalise

_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?")
_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_WORD_VALUES = {word: float(value) for value, word in enumerate(_WORDS)}


def answers_match(given: str, answer: str, aliases: Iterable[str] = ()) -> bool:
    """Whether `given` is the answer or one of its aliases, letter case, punctuation, a leading "the" and a closing full stop
    aside. A number is matched by an equal number only, in digits (`1,024`, `3.0`) or as a word up to twenty."""
    wanted = number(answer)
    if wanted is not None:
        return number(given) == wanted
    return normal_answer(given) in {normal_answer(name) for name in (answer, *aliases)} - {""}


def normal_answer(text: str) -> str:
    """What is compared: the normal form of a name without a leading article."""
    return normalise(text).removeprefix("the ")


def number(text: str) -> float | None:
    """The number that a text is, or None: `7`, `1,024`, `-0.5`, `Seven.`"""
    bare = text.strip().removesuffix(".").strip()
    if _NUMBER.fullmatch(bare):
        return float(bare.replace(",", ""))
    return _WORD_VALUES.get(bare.casefold())
