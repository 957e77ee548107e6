"""Proved query → English question. What may vary is in `frames.yaml`; which variant is used is drawn by the `rng` passed in."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from samplers.graph.phrases import listing, noun, sentence, with_article
from samplers.graph.store import Graph
from samplers.questions.clauses import Clause, Wording, joined
from samplers.questions.evaluate import Search, bearers
from samplers.records import ANSWER, Certificate, Paradigm

DEEPEST = 2
"""Relative clauses inside one another; what lies deeper is introduced in a sentence of its own."""
AUXILIARIES = frozenset({"is", "are", "was", "were", "can", "may"})
"""Verbs that \"also\" follows; it precedes all others."""


def verbalise(graph: Graph, certificate: Certificate, rng: random.Random) -> str:
    """The question in words.

    Raises:
        ValueError: the query is no tree.
    """
    wording = Wording(graph, certificate.query)
    plural = certificate.paradigm in (Paradigm.COUNT, Paradigm.COMPARISON)
    lead = _leads(wording, rng)
    other = "other " if wording.spoken_of(ANSWER) else ""
    clauses = wording.clauses(ANSWER, plural)
    kind = wording.kind(ANSWER)
    slots = {
        "noun": noun(graph.schema, kind),
        "plural": noun(graph.schema, kind, plural=True),
        "a_noun": "another " + noun(graph.schema, kind) if other else with_article(noun(graph.schema, kind)),
        "other": other,
        "besides": _besides(graph, certificate),
        "predicate": joined(clauses),
    }
    text = _question(certificate, clauses, slots, graph, rng)
    return " ".join([*lead, _capitalised(text)])


def _question(certificate: Certificate, clauses: Sequence[Clause], slots: Mapping[str, str], graph: Graph, rng: random.Random) -> str:
    frames = _frames()
    if certificate.paradigm is Paradigm.COMPARISON:
        extreme = getattr(graph.schema.attributes[certificate.compared], certificate.direction)
        return rng.choice(frames["comparison"]).format(**slots, extreme=extreme)
    if certificate.paradigm is Paradigm.COUNT:
        return rng.choice(frames["count"]).format(**slots)
    if sum(clause.nested for clause in clauses) > 1:
        rest = [_follow(clause, place, frames) for place, clause in enumerate(clauses[1:])]
        return rng.choice(frames["told"]).format(**slots, first=clauses[0].text, rest=" ".join(rest))
    return rng.choice(frames["single"]).format(**slots)


def _leads(wording: Wording, rng: random.Random) -> list[str]:
    """Sentences that introduce what would otherwise nest too deep, one per kind at most, so that "this gene" is clear."""
    found: list[str] = []
    kinds: set[str] = set()
    for variable in _too_deep(wording, ANSWER, 0):
        if wording.kind(variable) not in kinds:
            kinds.add(wording.kind(variable))
            found.append(rng.choice(_frames()["lead"]).format(reference=wording.introduce(variable)))
    return found


def _too_deep(wording: Wording, variable: str, depth: int) -> list[str]:
    """The first variable on each branch whose description, put in place, would make the whole nest too deep."""
    found = []
    for child in wording.children(variable):
        if depth + wording.depth_below(child) > DEEPEST and wording.depth_below(child) <= DEEPEST:
            found.append(child)
        else:
            found += _too_deep(wording, child, depth + 1)
    return found


def _besides(graph: Graph, certificate: Certificate) -> str:
    """` other than Marfan syndrome`, where a named entity would itself meet the clues were it not named."""
    hasty = set(Search(graph, certificate.query, generous=True).answers(certificate.answer_cap))
    named = [item.name for item in certificate.query.constants if not hasty.isdisjoint(bearers(graph, item.name).tolist())]
    return f" other than {listing(named)}" if named else ""


def _follow(clause: Clause, place: int, frames: Mapping[str, Sequence[str]]) -> str:
    frame = frames["follow"][place % len(frames["follow"])]
    return frame.format(clause=clause.text, also=_also(clause.text))


def _also(predicate: str) -> str:
    """`is also used to treat gout`, `also inhibits KIT`."""
    verb, _, rest = predicate.partition(" ")
    return f"{verb} also {rest}" if verb in AUXILIARIES else f"also {predicate}"


def _capitalised(text: str) -> str:
    return sentence(text) if not text[:1].isupper() else text


@functools.cache
def _frames() -> dict[str, list[str]]:
    frames: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "frames.yaml").read_text(encoding="utf-8"))
    return frames
