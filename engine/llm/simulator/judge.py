"""The judge persona: finds two labelled answers in a prompt, the reference and the one to be judged, and compares the strings.

Understands the labels of the graders in use (SimpleQA, BrowseComp, HLE, GAIA and their kin), and answers in the form they ask for.
"""

from __future__ import annotations

import itertools
import re

from engine.llm.simulator.turn import Turn, words
from engine.records import canonical_json

REFERENCE = re.compile(
    r"(?:gold(?:en)?|ground[ _-]truth|reference|expected)(?:[ _-](?:answer|target|response|label))?"
    r"|(?:correct|true|target|accepted)[ _-]answers?"
)
JUDGED = re.compile(
    r"(?:(?:predicted|model(?:'s)?|candidate|student(?:'s)?|submitted|given|proposed|final|agent(?:'s)?)[ _-])?"
    r"(?:response|answer|prediction|output)"
)
_LABEL = re.compile(r"(?m)^[\W_]*(?P<label>[A-Za-z][\w' -]{2,30}?)[\]*_`>\s]*:[*_]*[ \t]*")
_TAG = re.compile(r"<(?P<label>(?!answer>)[a-z_]{4,30})>(?P<value>.*?)</(?P=label)>", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def judge(prompt: str) -> Turn | None:
    """The verdict; None when the prompt does not show both answers."""
    shown = _labelled(prompt)
    references = [place for place, (label, _) in enumerate(shown) if REFERENCE.fullmatch(label)]
    judged = [place for place, (label, _) in enumerate(shown) if JUDGED.fullmatch(label) and place not in references]
    if not references or not judged:
        return None
    place = references[-1]  # earlier ones are the grader's examples
    reference = shown[place][1]
    given = shown[min(judged, key=lambda other: (abs(other - place), -other))][1]
    correct = agree(reference, given)
    return Turn(_phrase(prompt, _essence(given), correct), gist=_essence(given), verdict=correct)


def agree(reference: str, given: str) -> bool:
    """Equal words; of free text without answer tags it is enough that the reference's words stand in it, in order and together."""
    wanted, said = " ".join(words(reference)), " ".join(words(_essence(given)))
    if not wanted:
        return False
    return wanted == said if _ANSWER.search(given) else f" {wanted} " in f" {said} "


def _labelled(prompt: str) -> list[tuple[str, str]]:
    """(label, value) pairs in order: `Label: value` up to the next label or blank line, and `<label>value</label>`."""
    found = [(match.start(), match["label"].lower(), match["value"]) for match in _TAG.finditer(prompt)]
    labels = list(_LABEL.finditer(prompt))
    for label, after in itertools.zip_longest(labels, labels[1:]):
        end = after.start() if after else len(prompt)
        text = prompt[label.end() : end].strip()
        found.append((label.start(), label["label"].lower().strip(), text if _ANSWER.search(text) else text.split("\n\n")[0]))
    return [(label, value.strip()) for _, label, value in sorted(found)]


def _essence(text: str) -> str:
    answers = _ANSWER.findall(text)
    return str(answers[-1]).strip() if answers else text


def _phrase(prompt: str, given: str, correct: bool) -> str:
    """In the form that is asked for, the first that fits."""
    compared = "it is the same as the reference" if correct else "it is not the reference"
    if re.search(r"(?m)^[\W_]*extracted_final_answer", prompt):
        answer = "yes" if correct else "no"
        return f"extracted_final_answer: {given}\n\nreasoning: Compared as text, {compared}.\n\ncorrect: {answer}\n\nconfidence: 100"
    if re.search(r"\bJSON\b", prompt):
        return canonical_json({"correct": correct, "reason": f"Compared as text, {compared}."})
    if re.search(r"\bA: CORRECT\b", prompt):
        return "A" if correct else "B"
    if re.search(r"\bINCORRECT\b", prompt):
        return "CORRECT" if correct else "INCORRECT"
    return "yes" if correct else "no"
