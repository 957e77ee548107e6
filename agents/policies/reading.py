"""Reading statements out of the text that tools return: the only way the scripted policy learns a fact."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agents.answers import number
from samplers.graph.names import normalise
from samplers.graph.phrases import AGREEMENT, sentence, verb_phrase
from samplers.graph.schema import GraphSchema

_SLOT = "\ue000"
"""A private-use character that no name contains."""
_STRUCTURED = re.compile(r" \[(?P<relation>[^\[\]→←]+) (?P<arrow>[→←]) .*\((?P<noun>[^()]*)\)\]$")
_VALUE = re.compile(r" \[[^\[\]=]+ = .*\]$")
_HIT = re.compile(r"^\d+\. (?P<title>.*)\n   url: (?P<url>.*)$", re.MULTILINE)
_CUT = re.compile(r"^\[part (?P<part>\d+) of (?P<parts>\d+):", re.MULTILINE)
_NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Statement:
    """One line that says something about an entity."""

    relation: str
    forward: bool
    """True: the entity is the relation's subject."""
    other: str
    """Name at the other end, as printed."""
    noun: str
    """The other end's kind in words, where the line tells it; else empty."""
    line: str
    """The sentence as read."""


class Reader:
    """Knows how a schema's relations and attributes are put into words."""

    def __init__(self, schema: GraphSchema) -> None:
        self._schema = schema
        meanings: dict[tuple[str, str], list[tuple[str, bool]]] = {}
        for relation in schema.relations:
            for forward in (True, False):
                before, after = verb_phrase(schema, relation, forward, _SLOT).split(_SLOT)
                meanings.setdefault((before, after), []).append((relation, forward))
        # The most specific wording first: "is caused by mutations in X" is no case of "is caused by X".
        self._wordings = sorted(meanings.items(), key=lambda item: (-len(item[0][0]) - len(item[0][1]), item[0]))

    def statements(self, text: str, name: str) -> list[Statement]:
        """What the lines of `text` say about the entity printed as `name`. A wording that several relations or both directions
        of one share ("is correlated with") is read as each of them, unless the line itself tells which."""
        head = sentence(f"{name} {_SLOT}").split(_SLOT)[0]
        return [item for line in text.splitlines() if line.startswith(head) for item in self._meanings(line.strip(), head)]

    def value(self, text: str, name: str, attribute: str) -> float | str | None:
        """Value of an attribute as the text states it: a number for years and numbers, else the words; None when it does not."""
        entry = self._schema.attributes[attribute]
        if entry.clause:
            phrase = re.sub(r"\{\w+\}", _SLOT, AGREEMENT.sub(r"\1", entry.clause))
            pattern = f"{name} {phrase}"
        else:
            pattern = f"the {entry.noun or attribute.replace('_', ' ')} of {name} is {_SLOT}"
        before, after = sentence(pattern).split(_SLOT)
        for line in text.splitlines():
            plain = _VALUE.sub("", line.strip())
            if plain.startswith(before) and plain.endswith(after):
                said = plain[len(before) : len(plain) - len(after)]
                return _first_number(said) if entry.numeric else said
        return None

    def _meanings(self, line: str, head: str) -> list[Statement]:
        structured = _STRUCTURED.search(line)
        plain = line[: structured.start()] if structured else line
        rest = plain[len(head) :].removesuffix(".")
        for (before, after), meanings in self._wordings:
            if rest.startswith(before) and rest.endswith(after) and len(rest) > len(before) + len(after):
                other = rest[len(before) : len(rest) - len(after)]
                if structured is None:
                    return [Statement(relation, forward, other, "", plain) for relation, forward in meanings]
                told = (structured["relation"], structured["arrow"] == "→")
                return [Statement(*told, other, structured["noun"], plain)] if told in meanings else []
        return []


def read_hits(text: str) -> list[tuple[str, str]]:
    """(title, url) of every hit of a search result, best first."""
    return [(hit["title"], hit["url"]) for hit in _HIT.finditer(text)]


def parts_left(text: str) -> int:
    """How many further parts a cut result has; 0 when it is whole or the last."""
    cut = _CUT.search(text)
    return int(cut["parts"]) - int(cut["part"]) if cut else 0


def holds(names: Iterable[str], name: str) -> bool:
    """Whether `name` is among `names`, spelling folded."""
    wanted = normalise(name)
    return any(normalise(other) == wanted for other in names)


def _first_number(text: str) -> float | None:
    found = _NUMBER.search(text)
    return number(found.group()) if found else None
