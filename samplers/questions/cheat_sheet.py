"""The reasoning path of a proved question, entities as placeholders: from what is named to what is asked."""

from __future__ import annotations

from collections.abc import Iterator

from samplers.graph.phrases import attribute_phrase, listing, noun, range_phrase, verb_phrase
from samplers.graph.store import Graph
from samplers.questions.query import distances, is_variable, terms
from samplers.records import ANSWER, Atom, AtomKind, Certificate, Paradigm, Placeholder, Query, Step


def cheat_sheet(certificate: Certificate, graph: Graph) -> tuple[tuple[Step, ...], tuple[Placeholder, ...]]:
    """Steps in solving order and what their placeholders stand for.

    An edge step goes from the end that is known to the one that is found. A filter step goes from an entity to a value that the
    question prints. Count and comparison end with a step from `?x` to the number or the winner; all counted or compared entities
    have placeholders.
    """
    sheet = _Sheet(certificate, graph)
    steps = [sheet.step(atom) for atom in _solving_order(certificate.query)]
    if certificate.paradigm in (Paradigm.COUNT, Paradigm.COMPARISON):
        steps.append(sheet.closing())
    return tuple(steps), tuple(sheet.placeholders)


class _Sheet:
    def __init__(self, certificate: Certificate, graph: Graph) -> None:
        self._certificate, self._graph = certificate, graph
        self._entities = {item.name: item.entity for item in certificate.query.variables}
        self._names = {item.entity: item.name for item in certificate.query.constants}
        self._of: dict[str, str] = {}
        self.placeholders: list[Placeholder] = []

    def step(self, atom: Atom) -> Step:
        if atom.kind is not AtomKind.EDGE:
            return self._filter(atom)
        start, end = _outer_first(atom, self._certificate.query)
        source, target = self._term(start), self._term(end)
        forward = start == atom.subject
        text = f"[{source}] {verb_phrase(self._graph.schema, atom.predicate, forward, f'[{target}]')}"
        return Step(text=text, source=source, relation=atom.predicate, forward=forward, target=target)

    def closing(self) -> Step:
        """All that meet the clues, and the number or the extremum of them."""
        certificate, schema = self._certificate, self._graph.schema
        members = [self._entity(entity, hidden=True) for entity in certificate.answers]
        own = self._term(ANSWER)
        group = listing([f"[{member}]" for member in members])
        if certificate.paradigm is Paradigm.COMPARISON:
            extreme = getattr(schema.attributes[certificate.compared], certificate.direction)
            return Step(text=f"Of {group}, [{own}] {extreme}", source=own, relation="", forward=True, target=own)
        kind = next(item.kind for item in certificate.query.variables if item.name == ANSWER)
        number = self._value(str(len(members)), hidden=True)
        text = f"{group} are all the {noun(schema, kind, plural=True)} that meet the clues: [{number}] in number"
        return Step(text=text, source=own, relation="", forward=True, target=number)

    def _filter(self, atom: Atom) -> Step:
        attribute = self._graph.schema.attributes[atom.predicate]
        label = atom.value if atom.value is not None else range_phrase(attribute, atom.low, atom.high)
        source, target = self._term(atom.subject), self._value(label, hidden=False)
        text = f"[{source}] {attribute_phrase(attribute, f'[{target}]')}"
        return Step(text=text, source=source, relation=atom.predicate, forward=True, target=target)

    def _term(self, term: str) -> str:
        if is_variable(term):
            return self._entity(self._entities[term], hidden=True)
        return self._entity(term, hidden=False, label=self._names[term])

    def _entity(self, entity: str, *, hidden: bool, label: str = "") -> str:
        if entity not in self._of:
            self._of[entity] = self._add(entity, label or self._graph.name(self._graph.index(entity)), hidden)
        return self._of[entity]

    def _value(self, label: str, *, hidden: bool) -> str:
        return self._add("", label, hidden)

    def _add(self, entity: str, label: str, hidden: bool) -> str:
        name = f"E{len(self.placeholders) + 1}"
        self.placeholders.append(Placeholder(name=name, entity=entity, label=label, hidden=hidden))
        return name


def _solving_order(query: Query) -> list[Atom]:
    """Each branch from its named end inwards; filters of an entity once it is reached."""
    depth = distances(query)

    def inward(term: str, seen: frozenset[str]) -> Iterator[Atom]:
        own = [atom for atom in query.atoms if term in terms(atom)]
        for atom in own:
            far = next((other for other in terms(atom) if other != term and depth[other] > depth[term] and other not in seen), None)
            if far is not None:
                yield from inward(far, seen | {term}) if is_variable(far) else ()
                yield atom
        yield from (atom for atom in own if len(terms(atom)) == 1)

    ordered = list(dict.fromkeys(inward(ANSWER, frozenset())))
    return ordered + [atom for atom in query.atoms if atom not in ordered]


def _outer_first(atom: Atom, query: Query) -> tuple[str, str]:
    """The two ends of an edge atom, the one farther from `?x` first."""
    depth = distances(query)
    start, end = sorted(terms(atom), key=lambda term: -depth[term])
    return start, end
