"""Does the text tell what it asks for? No name of the answer or of another hidden entity may stand in it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from samplers.graph.names import tokens
from samplers.graph.store import Graph

SHORTEST = 2
"""Letters of a name that counts: a single letter cannot be told from ordinary text."""


class Words:
    """A text as a run of tokens in which names are looked for, whatever their hyphens, case and number.

    A name is found where its letters stand between two word boundaries: "BCR-ABL1" is told by "bcr abl1" and by "BCRABL1s". It is not
    found inside a word: "CF" is not told by "ACF".
    """

    def __init__(self, text: str) -> None:
        words = tokens(text)
        self._letters = "".join(words)
        ends = list(accumulate((len(word) for word in words), initial=0))
        self._starts, self._ends = frozenset(ends[:-1]), frozenset(ends[1:])
        self._plural_ends = self._ends | {end - 1 for end in ends[1:] if self._letters[end - 1] == "s"}

    def tell(self, name: str) -> bool:
        """Whether the name, its singular or its plural stands in the text."""
        letters = "".join(tokens(name))
        if len(letters) < SHORTEST:
            return False
        return any(self._has(form) for form in {letters, _singular(letters)} if len(form) >= SHORTEST)

    def _has(self, letters: str) -> bool:
        place = self._letters.find(letters)
        while place >= 0:
            if place in self._starts and place + len(letters) in self._plural_ends:
                return True
            place = self._letters.find(letters, place + 1)
        return False


def find_leak(graph: Graph, hidden: Iterable[int], text: str) -> str:
    """The first name of a hidden entity that the text tells, or "". The noun of its own kind tells nothing."""
    words = Words(text)
    for entity in hidden:
        kind = graph.schema.kinds[graph.kind(entity)]
        nouns = {tokens(kind.noun), tokens(kind.plural)}
        for name in (graph.name(entity), *graph.aliases(entity)):
            if tokens(name) not in nouns and words.tell(name):
                return name
    return ""


def _singular(letters: str) -> str:
    return letters[:-1] if letters.endswith("s") and not letters.endswith("ss") else letters
