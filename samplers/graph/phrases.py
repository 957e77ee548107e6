"""Facts in words: agreement, articles, lists, sentences. Phrases come from the schema, names from the graph."""

from __future__ import annotations

import re
from collections.abc import Sequence

from samplers.graph.schema import Attribute, GraphSchema

AGREEMENT = re.compile(r"\[([^\[\]|]+)\|([^\[\]|]+)\]")
LETTER_BY_LETTER = re.compile(r"[A-Z](?![a-z])|[a-z]{1,2}(?=[A-Z])")
"""Abbreviations and symbols that are read as letters: MRI, F wave, X-linked, mRNA, siRNA."""
VOWEL_LETTERS = frozenset("aefhilmnorsx")
"""Letters whose own name begins with a vowel sound."""
VOWEL_SOUND = re.compile(
    r"(?!eu|uni(?!n|mp|mag)|us[aeu]|ubi|ur[eio]|ut[ei]|one\b|once\b)[aeiou]|h(?:onest|our|eir|onou?r)|8|1[18](?!\d)", re.IGNORECASE
)


def verb_phrase(schema: GraphSchema, relation: str, forward: bool, other: str, plural: bool = False) -> str:
    """What a relation says about one of its ends: `is inhibited by imatinib`; forward: about the subject."""
    entry = schema.relations[relation]
    return _filled(entry.forward if forward else entry.back, other, plural)


def attribute_phrase(attribute: Attribute, value: float | str, plural: bool = False) -> str:
    """What an attribute with a clause says about its bearer: `was first approved by the FDA in 2001`."""
    filler = value if isinstance(value, str) else range_phrase(attribute, value, value)
    return _filled(attribute.clause, filler, plural)


def range_phrase(attribute: Attribute, low: float | None, high: float | None) -> str:
    """A numeric range, ends included: `between 1998 and 2003`, `in or after 1998`, `of at least 10 per 100,000 people`."""
    unit = f" {attribute.unit}" if attribute.unit else ""
    year = attribute.form == "year"
    ends = [_number(end, year) for end in (low, high) if end is not None]
    if low is not None and low == high:
        return f"in {ends[0]}" if year else f"of {ends[0]}{unit}"
    if low is not None and high is not None:
        return f"between {ends[0]} and {ends[1]}" if year else f"of between {ends[0]} and {ends[1]}{unit}"
    if year:
        return f"in {ends[0]} or later" if low is not None else f"in {ends[0]} or earlier"
    return f"of at {'least' if low is not None else 'most'} {ends[0]}{unit}"


def noun(schema: GraphSchema, kind: str, plural: bool = False) -> str:
    """The noun for a kind."""
    entry = schema.kinds[kind]
    return entry.plural if plural else entry.noun


def with_article(words: str) -> str:
    """`a gene`, `an enzyme`, `an MRI`: the indefinite article follows the sound."""
    vowel = words[0].lower() in VOWEL_LETTERS if LETTER_BY_LETTER.match(words) else VOWEL_SOUND.match(words)
    return f"{'an' if vowel else 'a'} {words}"


def listing(items: Sequence[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, `a, b, and c`."""
    if len(items) < 3:
        return f" {conjunction} ".join(items)
    return f"{', '.join(items[:-1])}, {conjunction} {items[-1]}"


def sentence(text: str) -> str:
    """Capital first letter, full stop last. Symbols such as `mTOR` or `p53` keep their case."""
    first = re.split(r"[\s-]", text, maxsplit=1)[0]
    symbol = any(character.isupper() or character.isdigit() for character in first)
    start = text if symbol else text[:1].upper() + text[1:]
    return start if start.endswith((".", "?", "!")) else f"{start}."


def _filled(phrase: str, filler: str, plural: bool) -> str:
    """Agreement first, so that brackets inside names are left alone."""
    agreed = AGREEMENT.sub(r"\2" if plural else r"\1", phrase)
    return re.sub(r"\{\w+\}", lambda _: filler, agreed)


def _number(value: float, year: bool) -> str:
    return f"{value:.0f}" if year else f"{value:,.10g}"
