"""The audit: proves every certificate again, from the graph files, with code that the prover never sees.

A certificate is only worth something if somebody else can check it. `audit_questions` reads the graph folder for itself
(`audit_graph`), answers queries by backtracking (`audit_answers`) and compares what it finds with what a question claims,
rule by rule, as DESIGN.md's invariant 7 and the docstrings of `samplers.records` state them. It is naive on purpose: short
enough to be believed by reading, and sharing neither code nor data structures with the prover. It asks no more than
is promised: whether a question reads well or is worth asking is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import networkx as nx

from samplers.questions.audit_answers import answers, query_graph, remaining, typed_walks
from samplers.questions.audit_graph import Move, NaiveGraph, Triple, load_naive, normalise
from samplers.records import ANSWER, AtomKind, Certificate, Paradigm, Query, Question, Step, World

__all__ = ["AuditRule", "Fault", "audit_questions", "load_naive"]

LEAST_ANSWERS, MOST_ANSWERS = 3, 20
"""How many answers a count question may have."""
LEAST_CONTENDERS = 4
LEAST_CANDIDATES = 2
"""The smallest k a certificate may claim."""
SHORTEST_NAME = 2
"""Names of one character cannot be told from ordinary text."""


class AuditRule(StrEnum):
    """The promise that is broken."""

    MALFORMED = "malformed"
    """The certificate is missing, or its query names terms or entities that do not exist: nothing else can be checked."""
    CONSTANT = "constant"
    """A printed name is not borne by its entity."""
    BINDING = "binding"
    """The entities the variables stand for do not satisfy the query, sorts included."""
    UNIQUE = "unique"
    """Chain or intersection: the query does not have exactly the one certified answer."""
    COUNT = "count"
    """The counted entities are not the certified ones, or too few or too many."""
    COMPARISON = "comparison"
    """The contenders are not the certified ones, too few, not comparable, or without one strict extremum."""
    ANSWER = "answer"
    """The question's answer is not the one its certificate proves."""
    DROPS = "drops"
    """A recorded number of answers without some atom is wrong."""
    MINIMAL = "minimal"
    """A clue is not necessary."""
    SHORTCUT = "shortcut"
    """A shorter typed path from a constant has the answer as its only end."""
    EVIDENCE = "evidence"
    """An edge of the evidence does not exist, or the evidence does not carry every answer."""
    WORLD = "world"
    """The label closed or open does not follow from the relations used."""
    GRAPH_HASH = "graph_hash"
    """The certificate names no graph, or another one than the rest of the set."""
    LEAK = "leak"
    """The text tells the name of something hidden."""
    CHEAT_SHEET = "cheat_sheet"
    """The reasoning path uses unknown placeholders, shows a hidden one, or takes steps that are no edges."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken promise of one question."""

    question_id: str
    rule: AuditRule
    detail: str


Found = Iterator[tuple[AuditRule, str]]


@dataclass(frozen=True)
class _Case:
    """One question under audit."""

    graph: NaiveGraph
    question: Question
    certificate: Certificate

    @property
    def query(self) -> Query:
        return self.certificate.query

    @property
    def single(self) -> bool:
        """Is exactly one answer promised?"""
        return self.certificate.paradigm in (Paradigm.CHAIN, Paradigm.INTERSECTION)

    @cached_property
    def certified(self) -> list[str]:
        """The certified answers, each as its class, sorted, repeats kept."""
        return sorted(self.graph.representative[entity] for entity in self.certificate.answers)

    @cached_property
    def found(self) -> list[str]:
        """The answers we find ourselves; one more than certified is enough to contradict."""
        return answers(self.graph, self.query, self.query.atoms, len(self.certified) + 1)

    @cached_property
    def answer_entity(self) -> str | None:
        return self.graph.representative.get(self.question.answer_entity)

    @cached_property
    def hidden(self) -> list[str]:
        """Entities that the text must not name, sorted."""
        entities = {item.entity for item in self.query.variables} | {item.entity for item in self.question.placeholders if item.hidden}
        classes = {self.graph.representative[entity] for entity in entities if entity in self.graph.representative}
        return sorted(classes | ({self.answer_entity} if self.answer_entity else set()))


def audit_questions(questions: Iterable[Question], graph_dir: Path, schema_path: Path) -> list[Fault]:
    """Prove every certified question again; faults come in the order of the questions. Imported questions claim nothing.

    Raises:
        InputError: the graph folder cannot be read.
    """
    graph = load_naive(graph_dir, schema_path)
    faults: list[Fault] = []
    first_hash = ""
    for question in questions:
        certificate = question.certificate
        if certificate is None:
            if question.certified:
                faults.append(Fault(question.id, AuditRule.MALFORMED, "certified, but there is no certificate"))
            continue
        first_hash = first_hash or certificate.graph_hash
        if not certificate.graph_hash or certificate.graph_hash != first_hash:
            detail = f"graph hash {certificate.graph_hash!r}, the first of the set is {first_hash!r}"
            faults.append(Fault(question.id, AuditRule.GRAPH_HASH, detail))
        faults += [Fault(question.id, rule, detail) for rule, detail in _audit(_Case(graph, question, certificate))]
    return faults


def _audit(case: _Case) -> Found:
    """Form first: what is malformed has no meaning that could be checked."""
    malformed = list(_form(case))
    yield from malformed
    if not malformed:
        for rule in _RULES:
            yield from rule(case)


def _form(case: _Case) -> Found:
    query, certificate = case.query, case.certificate
    if certificate.paradigm is not case.question.paradigm or certificate.paradigm is Paradigm.IMPORTED or not case.question.certified:
        yield AuditRule.MALFORMED, f"a certificate for {certificate.paradigm} on a question of paradigm {case.question.paradigm}"
    declared = [item.name for item in query.variables] + [item.entity for item in query.constants]
    named = {term for atom in query.atoms for term in (atom.subject, atom.object) if term} | {ANSWER}
    if sorted(declared) != sorted(named):
        yield AuditRule.MALFORMED, f"declared terms {sorted(declared)}, used terms {sorted(named)}"
    if any((atom.kind is AtomKind.EDGE) != bool(atom.object) or atom.subject == atom.object for atom in query.atoms):
        yield AuditRule.MALFORMED, "an edge needs two ends that differ, a filter has one"
    elif not nx.is_connected(query_graph(query.atoms)):
        yield AuditRule.MALFORMED, "not every atom is connected to ?x"
    entities = [*certificate.answers, *(item.entity for item in query.variables), *(item.entity for item in query.constants)]
    unknown = sorted(entity for entity in entities if entity not in case.graph.representative)
    if unknown:
        yield AuditRule.MALFORMED, f"entities that the graph does not hold: {unknown}"
    edges = sum(atom.kind is AtomKind.EDGE for atom in query.atoms)
    if case.question.hops != edges:
        yield AuditRule.MALFORMED, f"{case.question.hops} hops stated, the query has {edges} edges"


def _constants(case: _Case) -> Found:
    for constant in case.query.constants:
        if case.graph.representative[constant.entity] not in case.graph.denoted(constant.name):
            yield AuditRule.CONSTANT, f"{constant.entity} does not bear the name {constant.name!r}"


def _bindings(case: _Case) -> Found:
    """The hidden entities themselves must be one way to satisfy the query."""
    pinned = {item.name: case.graph.representative[item.entity] for item in case.query.variables}
    if not answers(case.graph, case.query, case.query.atoms, 1, pinned):
        yield AuditRule.BINDING, f"{pinned} does not satisfy the query"


def _answers(case: _Case) -> Found:
    rule = {Paradigm.COUNT: AuditRule.COUNT, Paradigm.COMPARISON: AuditRule.COMPARISON}.get(case.certificate.paradigm, AuditRule.UNIQUE)
    if case.found != case.certified:
        yield rule, f"answers found {case.found}, certified {case.certified}"
    if case.single and len(case.certified) != 1:
        yield rule, f"{len(case.certified)} answers certified"
    if rule is AuditRule.COUNT:
        if not LEAST_ANSWERS <= len(case.certified) <= MOST_ANSWERS:
            yield rule, f"{len(case.certified)} answers, outside {LEAST_ANSWERS}-{MOST_ANSWERS}"
        if case.question.answer != str(len(case.certified)) or case.question.answer_entity:
            yield AuditRule.ANSWER, f"answer {case.question.answer!r}, counted {len(case.certified)}"
    elif case.answer_entity is None:
        yield AuditRule.ANSWER, f"unknown answer entity {case.question.answer_entity!r}"
    else:
        yield from _answer_name(case, case.answer_entity)
        if case.single and [case.answer_entity] != case.certified:
            yield AuditRule.ANSWER, f"answer entity {case.answer_entity}, certified {case.certified}"
        if rule is AuditRule.COMPARISON:
            yield from _comparison(case, case.answer_entity)


def _answer_name(case: _Case, answer: str) -> Found:
    names = case.graph.names[answer]
    if case.question.answer != names[0]:
        yield AuditRule.ANSWER, f"answer {case.question.answer!r}, the entity's name is {names[0]!r}"
    strangers = sorted(set(map(normalise, case.question.answer_aliases)) - set(map(normalise, names)))
    if strangers:
        yield AuditRule.ANSWER, f"aliases that the entity does not bear: {strangers}"


def _comparison(case: _Case, answer: str) -> Found:
    certificate = case.certificate
    if len(set(case.certified)) < LEAST_CONTENDERS:
        yield AuditRule.COMPARISON, f"{len(set(case.certified))} contenders, fewer than {LEAST_CONTENDERS}"
    values = {entity: case.graph.number(entity, certificate.compared) for entity in case.certified}
    known = {entity: value for entity, value in values.items() if value is not None}
    if known.keys() != values.keys():
        yield AuditRule.COMPARISON, f"contenders without {certificate.compared!r}: {sorted(values.keys() - known.keys())}"
    elif certificate.direction not in ("least", "most"):
        yield AuditRule.COMPARISON, f"direction {certificate.direction!r} is neither least nor most"
    else:
        extreme = (min if certificate.direction == "least" else max)(known.values())
        winners = [entity for entity, value in known.items() if value == extreme]
        if winners != [answer]:
            yield AuditRule.COMPARISON, f"{certificate.direction} {certificate.compared}: {winners}, answer entity {answer}"


def _drops(case: _Case) -> Found:
    """Recount without each clue: the number is as recorded, and shows that the clue was needed."""
    certificate, atoms = case.certificate, case.query.atoms
    if [drop.atom for drop in certificate.drops] != list(range(len(atoms))):
        yield AuditRule.DROPS, f"drops of atoms {[drop.atom for drop in certificate.drops]}, the query has {len(atoms)} atoms"
        return
    if certificate.min_candidates < LEAST_CANDIDATES:
        yield AuditRule.MINIMAL, f"k = {certificate.min_candidates}, at least {LEAST_CANDIDATES} is promised"
    for drop in certificate.drops:
        left = len(answers(case.graph, case.query, remaining(atoms, drop.atom), certificate.answer_cap))
        if left != drop.answers:
            yield AuditRule.DROPS, f"without atom {drop.atom} {left} answers (cap {certificate.answer_cap}), recorded {drop.answers}"
        # Fewer atoms never mean fewer answers, so "changed" (count) and "grown" (comparison) are one test.
        needed = certificate.min_candidates if case.single else len(case.certified) + 1
        if left < needed:
            yield AuditRule.MINIMAL, f"without atom {drop.atom} {left} answers, at least {needed} are promised"


def _shortcuts(case: _Case) -> Found:
    if not case.single or case.answer_entity is None:
        return
    distance = nx.single_source_shortest_path_length(query_graph(case.query.atoms), ANSWER)
    for constant in case.query.constants:
        path = _shortcut(case.graph, case.graph.denoted(constant.name), case.answer_entity, distance[constant.entity] - 1)
        if path:
            yield AuditRule.SHORTCUT, f"from {constant.name!r} {path} ends only in the answer"


def _shortcut(graph: NaiveGraph, start: frozenset[str], answer: str, longest: int) -> tuple[Move, ...] | None:
    """A typed path of 1 to `longest` steps whose ends, `start` left out, are the answer alone.

    Its last step enters the answer, so only the types of the answer's own edges are tried there.
    """
    if longest < 1 or answer in start:
        return None
    sole = start | {answer}
    for path, ends in typed_walks(graph, start, longest - 1):
        for (relation, forward), origins in graph.moves(answer).items():
            last = (relation, not forward)
            if not origins.isdisjoint(ends) and all(graph.ends(entity, *last) <= sole for entity in ends):
                return (*path, last)
    return None


def _evidence(case: _Case) -> Found:
    """The evidence alone, taken as a graph, must carry every certified answer."""
    triples: list[Triple] = []
    for edge in case.certificate.evidence:
        triple = case.graph.triple(edge)
        if triple is None:
            yield AuditRule.EVIDENCE, f"no such edge: {edge.source} —{edge.relation}→ {edge.target}"
        else:
            triples.append(triple)
    small = case.graph.only(triples)
    for entity in case.certified:
        if not answers(small, case.query, case.query.atoms, 1, {ANSWER: entity}):
            yield AuditRule.EVIDENCE, f"the evidence does not satisfy the query for {entity}"


def _world(case: _Case) -> Found:
    relations = {atom.predicate for atom in case.query.atoms if atom.kind is AtomKind.EDGE}
    world = World.CLOSED if relations <= case.graph.closed else World.OPEN
    if case.certificate.world is not world:
        yield AuditRule.WORLD, f"labelled {case.certificate.world}, open relations: {sorted(relations - case.graph.closed)}"


def _leaks(case: _Case) -> Found:
    text = f" {normalise(case.question.text)} "
    for entity in case.hidden:
        for name in case.graph.names[entity]:
            plain = normalise(name)
            if len(plain) < SHORTEST_NAME or plain in case.graph.nouns.get(case.graph.kinds[entity], frozenset()):
                continue
            singular = plain.removesuffix("s")
            spellings = [plain, plain + "s", singular if len(singular) >= SHORTEST_NAME else plain]
            if any(f" {spelling} " in text for spelling in spellings):
                yield AuditRule.LEAK, f"the text tells {name!r}, a name of {entity}"


def _cheat_sheet(case: _Case) -> Found:
    places = {item.name: item for item in case.question.placeholders}
    if not case.question.cheat_sheet or len(places) != len(case.question.placeholders):
        yield AuditRule.CHEAT_SHEET, "no steps, or a placeholder is defined twice"
    for item in case.question.placeholders:
        entity = case.graph.representative.get(item.entity)
        if item.entity and (entity is None or normalise(item.label) not in map(normalise, case.graph.names[entity])):
            yield AuditRule.CHEAT_SHEET, f"{item.name}: {item.entity} does not bear the name {item.label!r}"
        elif entity in case.hidden and not item.hidden:
            yield AuditRule.CHEAT_SHEET, f"{item.name} shows {entity}, which is hidden"
    for number, step in enumerate(case.question.cheat_sheet):
        if step.source not in places or step.target not in places:
            yield AuditRule.CHEAT_SHEET, f"step {number}: [{step.source}] or [{step.target}] is no placeholder"
        elif not _is_fact(case, step, places[step.source].entity, places[step.target].entity):
            yield AuditRule.CHEAT_SHEET, f"step {number}: [{step.source}] —{step.relation}→ [{step.target}] is not in the graph"


def _is_fact(case: _Case, step: Step, source: str, target: str) -> bool:
    """An edge in the stated direction, or an attribute that the entity at one end carries; the closing step states no fact."""
    ends = [case.graph.representative[entity] for entity in (source, target) if entity in case.graph.representative]
    filters = {atom.predicate for atom in case.query.atoms if atom.kind is not AtomKind.EDGE} | {case.certificate.compared}
    if not step.relation:
        return True
    if len(ends) == 2 and ends[1] in case.graph.ends(ends[0], step.relation, step.forward):
        return True
    return step.relation in filters and any(step.relation in case.graph.attributes[entity] for entity in ends)


_RULES: tuple[Callable[[_Case], Found], ...] = (
    _constants,
    _bindings,
    _answers,
    _drops,
    _shortcuts,
    _evidence,
    _world,
    _leaks,
    _cheat_sheet,
)
