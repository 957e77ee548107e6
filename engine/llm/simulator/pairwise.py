"""The judge of pairs: finds two candidates in a prompt and prefers the one with more different words, the first of two that are near.

It stands for a judge with a bias towards what it is shown first: where the candidates differ clearly its verdict is the same in either
order, where they do not it follows the place. Understands tags (`<candidate_a>`, `<response_b>`, …) and MT-Bench's brackets.
"""

from __future__ import annotations

import re

from engine.llm.simulator.turn import Turn, words
from engine.records import canonical_json

NEAR = 0.05
"""Difference in words, of the richer candidate's, below which what is shown first is preferred."""

_CANDIDATES = (
    re.compile(r"<(?P<name>[a-z]{4,12}_)(?P<place>[ab])>\n?(?P<text>.*?)\n?</(?P=name)(?P=place)>", re.DOTALL),
    re.compile(
        r"\[The Start of (?P<name>[\w ]{1,20}) (?P<place>[AB])'s Answer\]\n?(?P<text>.*?)\n?\[The End of (?P=name) (?P=place)'s Answer\]",
        re.DOTALL,
    ),
)


def prefer(prompt: str) -> Turn | None:
    """The verdict; None when the prompt does not show two candidates."""
    for form in _CANDIDATES:
        shown = {match["place"].upper(): match["text"].strip() for match in form.finditer(prompt)}
        if shown.keys() == {"A", "B"}:
            better = _better(shown["A"], shown["B"])
            reason = "They are the same text." if better == "equal" else f"{better} has more different words, or as many and stands first."
            return Turn(_phrase(prompt, better, reason), gist=reason, choice=better)
    return None


def _better(one: str, other: str) -> str:
    if one == other:
        return "equal"
    first, second = len(set(words(one))), len(set(words(other)))
    return "B" if second - first > NEAR * second else "A"


def _phrase(prompt: str, better: str, reason: str) -> str:
    """In the form that is asked for, the first that fits."""
    if re.search(r"\bJSON\b", prompt):
        return canonical_json({"better": better, "reason": reason})
    if "[[A]]" in prompt:
        return f"{reason} [[{'C' if better == 'equal' else better}]]"
    return f"{reason}\nbetter: {better}"
