"""Solving a proved question with real tool calls, as a script.

The certificate tells the script which clue to follow next and which candidate is worth a closer look. What it claims, it
has read: candidates, counts and values come out of tool text, and a fact that no tool returns ends in giving up.
"""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Sequence

from agents.policies.plan import Findings, Hop, solving_order
from agents.policies.reading import Reader, Statement, holds
from agents.policies.research import MAX_PARTS, WIDTH, Research, Script, Text, Topic
from agents.policies.thoughts import Voice, name_list, need
from samplers.graph.names import normalise
from samplers.graph.phrases import noun, verb_phrase
from samplers.graph.store import Graph
from samplers.records import ANSWER, Atom, AtomKind, Certificate, Paradigm

CANDIDATES = 3
"""So many candidates are looked at more closely where one answer is sought: the right one and some to turn down."""
LOOKUP_FIRST_SHARE = 0.2
"""Share of hops that ask the graph before the pages, so that the data shows both ways."""
LOOKUP_SEVERAL_SHARE = 0.6
"""The same for hops from several candidates, where every page would have to be found first."""
CONFIRM_CHAIN_SHARE = 0.5
"""Share of chains whose answer is read up once more; where several clues meet it always is."""

Read = dict[str, list[Statement]]
"""Name → what was read about it, of one relation and direction."""


class Walk:
    """One rollout's way through a certificate. Of the graph only the schema and the printed names of the certificate's own
    entities are used; facts come from tools."""

    def __init__(self, certificate: Certificate, graph: Graph, tools: Sequence[str], rng: random.Random) -> None:
        """Raises:
        KeyError: the certificate names an entity that the graph does not have.
        """
        self._certificate, self._schema, self._rng = certificate, graph.schema, rng
        query = certificate.query
        self._titles = {term.entity: graph.name(graph.index(term.entity)) for term in query.constants}
        self._printed = {self._titles[term.entity]: term.name for term in query.constants}
        self._gold = self._titles | {term.name: graph.name(graph.index(term.entity)) for term in query.variables}
        self._kinds = {term.name: term.kind for term in query.variables}
        self._kinds |= {term.entity: graph.kind(graph.index(term.entity)) for term in query.constants}
        self._all_wanted = certificate.paradigm in (Paradigm.COUNT, Paradigm.COMPARISON)
        self._reader, self._voice = Reader(self._schema), Voice(rng)
        self._desk = Research(tools, self._voice)
        self._found = Findings([dict(self._titles)])
        self._lines: dict[Hop, dict[tuple[str, str], str]] = {}
        self._tried: set[Hop] = set()
        self._missing = "starting point"

    def run(self) -> Script[str]:
        """Follow every clue, then answer; the last words hold the answer in tags, or say what could not be found."""
        steps, stalled = deque(solving_order(self._certificate.query)), 0
        if not any(isinstance(step, Hop) for step in steps):
            return self._give_up(self._missing)
        while steps:
            step = steps.popleft()
            settled = yield from (self._hop(self._oriented(step)) if isinstance(step, Hop) else self._filter(step))
            if not settled:
                stalled += 1
                steps.append(step)
                if stalled >= len(steps) or not self._found.rows:
                    return self._give_up(self._missing)
            else:
                stalled = 0
        if self._certificate.paradigm is Paradigm.COUNT:
            return self._count()
        if self._certificate.paradigm is Paradigm.COMPARISON:
            return (yield from self._compare())
        return (yield from self._single())

    # --- one clue

    def _hop(self, hop: Hop) -> Script[bool]:
        """Read one relation of the source and join it with the findings; False: what is needed could not be read yet."""
        if not self._found.knows(hop.source):
            return False
        known = self._found.knows(hop.target)
        if hop not in self._tried:
            self._tried.add(hop)
            sources = self._closer_look(hop.source)
            few_left = known and len(self._found.names(hop.target)) <= 2 * WIDTH
            patience = 2 if few_left else MAX_PARTS  # a long list is not worth reading when a few pages tell the same
            read = yield from self._statements(sources, hop, self._topic(hop), patience)
            if read is not None:
                self._lines[hop] = {_pair(name, item.other): item.line for name, items in read.items() for item in items}
                return self._join(hop, read, known)
            if not known:
                self._desk.note("postpone", names=self._spoken(self._found.names(hop.source)))
        return (yield from self._from_the_other_side(hop)) if known else False

    def _oriented(self, hop: Hop) -> Hop:
        """The hop itself, or the same edge from its other end when only that is known by now."""
        if self._found.knows(hop.source) or not self._found.knows(hop.target):
            return hop
        return hop.reverse

    def _from_the_other_side(self, hop: Hop) -> Script[bool]:
        """Check the clue on the pages of the candidates instead of on the page of what it names."""
        back = hop.reverse
        candidates = self._closer_look(hop.target)
        source = self._spoken(self._found.names(hop.source), "or")
        self._desk.note("other_side", source=source, names=self._spoken(candidates))
        clue = verb_phrase(self._schema, hop.relation, back.forward, source)
        topic = Topic(need=f"clue about {source}", goal=lambda name: f"whether {name} {clue}", relation=hop.relation)
        read = yield from self._statements(candidates, back, topic, patience=MAX_PARTS)
        if read is None:
            return False
        self._lines[hop] = {_pair(item.other, name): item.line for name, items in read.items() for item in items}
        return self._join(back, read, known=True)

    def _filter(self, atom: Atom) -> Script[bool]:
        """Keep those candidates whose attribute, as read, satisfies a filter."""
        if not self._found.knows(atom.subject):
            return False
        candidates = self._closer_look(atom.subject)
        self._desk.note("filter", attribute=self._attribute(atom.predicate), names=self._spoken(candidates))
        values = yield from self._values(candidates, atom.predicate, atom.subject)
        fitting = [name for name in candidates if _satisfies(values.get(name), atom)]
        if not self._all_wanted and not holds(fitting, self._gold[atom.subject]):
            return False
        self._found.keep(atom.subject, fitting)
        if fitting:
            self._desk.note("fits_one" if len(fitting) == 1 else "fits_some", names=self._spoken(fitting), count=len(fitting))
        return bool(fitting)

    def _join(self, hop: Hop, read: Read, known: bool) -> bool:
        self._found.join(hop, {name: [item.other for item in items] for name, items in read.items()})
        names = self._found.names(hop.source if known and hop.source not in self._titles else hop.target)
        if len(names) == 1 and not known:
            self._desk.note("found_one", line=self._lines[hop][_pair(self._found.rows[0][hop.source], names[0])])
        elif names:
            key = ("fits" if known else "found") + ("_one" if len(names) == 1 else "_some")
            self._desk.note(key, names=self._spoken(names), count=len(names))
        return bool(names)

    def _closer_look(self, term: str) -> list[str]:
        """The candidates to read about: all where all count, else a few, among them the one the proof is about."""
        names = self._found.names(term)
        if self._all_wanted or len(names) <= CANDIDATES:
            return names
        others = [name for name in names if normalise(name) != normalise(self._gold[term])]
        chosen = {*self._rng.sample(others, CANDIDATES - 1), self._gold[term]}
        self._found.keep(term, chosen)
        names = self._found.names(term)
        self._desk.note("look_at", names=self._spoken(names))
        return names

    # --- reading

    def _statements(self, names: Sequence[str], hop: Hop, topic: Topic, patience: int) -> Script[Read | None]:
        """What pages and graph say about every name for one relation; None when that is not enough to go on.

        Args:
            patience: parts of a long result that are read before giving up on it.
        """
        search = self._search_words(names, hop.source)
        self._missing = topic.need
        texts: dict[str, list[Text]] = {name: [] for name in names}

        def enough(name: str, more: Sequence[Text] = ()) -> bool:
            return self._enough(name, [*texts[name], *more], hop)

        for way in self._ways(len(names)):
            missing = [name for name in names if not enough(name)]
            if not missing:
                break
            if way == "pages":
                found = yield from self._desk.pages(missing, topic, search)
            elif way == "graph":
                found = yield from self._desk.lookups(missing, topic, "lookup" if not any(texts.values()) else "lookup_after", patience)
            else:
                found = {}
                for name in missing:
                    found[name] = yield from self._desk.read_on(name, topic, functools.partial(enough, name), patience)
            for name, more in found.items():
                texts[name] += more
        return {name: self._items(name, texts[name], hop) for name in names} if all(map(enough, names)) else None

    def _ways(self, names: int) -> list[str]:
        """Pages first, then the graph, then the rest of long pages. At times the graph goes first, and always for many names."""
        ways = ["pages"] if self._desk.has_pages else []
        if self._desk.has_graph:
            share = LOOKUP_FIRST_SHARE if names == 1 else LOOKUP_SEVERAL_SHARE if names <= WIDTH else 1.0
            ways.insert(0 if self._rng.random() < share else len(ways), "graph")
        graph_is_all = self._desk.has_graph and self._all_wanted  # a list the graph cannot finish is no shorter on the page
        return [*ways, "rest"] if self._desk.has_pages and not graph_is_all else ways

    def _enough(self, name: str, texts: Sequence[Text], hop: Hop) -> bool:
        """Where all count, a result read to its end; else the statement that the proof needs, if this is its source."""
        items = self._items(name, texts, hop)
        relation = self._schema.relations[hop.relation]
        one_kind = len(relation.object if hop.forward else relation.subject) == 1
        if self._desk.has_graph and not one_kind and len(items) > 1 and not all(item.noun for item in items):
            return False  # pages do not say of what kind the other ends are; the graph does
        if self._all_wanted:
            return any(text.whole for text in texts)
        if normalise(name) != normalise(self._gold[hop.source]):
            return bool(texts)
        return holds([item.other for item in items], self._gold[hop.target])

    def _items(self, name: str, texts: Sequence[Text], hop: Hop) -> list[Statement]:
        """Statements of the hop's relation and direction, one per name at the other end, those of another kind left out. Where
        the graph has spoken its lines replace the pages', which do not always tell kind and direction."""
        wanted = noun(self._schema, self._kinds[hop.target])
        symmetric = self._schema.relations[hop.relation].inverse == hop.relation
        read = [item for text in texts for item in self._reader.statements(text.text, name) if item.relation == hop.relation]
        told = [item for item in read if item.noun] or read
        fitting = [item for item in told if item.noun in ("", wanted) and (symmetric or item.forward == hop.forward)]
        return list({normalise(item.other): item for item in fitting}.values())

    def _values(self, names: Sequence[str], attribute: str, term: str) -> Script[dict[str, float | str]]:
        """The attribute of every name, as pages or graph state it; names of which nothing is stated are left out."""
        topic = Topic(need=self._attribute(attribute), goal=lambda name: f"{self._attribute(attribute)} of {name}")
        self._missing = topic.need
        values: dict[str, float | str] = {}
        for way in ("pages", "graph"):
            missing = [name for name in names if name not in values]
            if way == "pages" and self._desk.has_pages:
                found = yield from self._desk.pages(missing, topic, self._search_words(missing, term))
            elif way == "graph" and self._desk.has_graph and missing:
                found = yield from self._desk.lookups(missing, topic, "lookup" if not values else "lookup_after")
            else:
                continue
            for name, texts in found.items():
                read = [self._reader.value(text.text, name, attribute) for text in texts]
                if said := [value for value in read if value is not None]:
                    values[name] = said[0]
        return values

    # --- the last words

    def _single(self) -> Script[str]:
        names = self._found.names(ANSWER)
        answer = next((name for name in names if normalise(name) == normalise(self._gold[ANSWER])), names[0])
        self._found.keep(ANSWER, [answer])
        chain = self._certificate.paradigm is Paradigm.CHAIN
        if self._desk.has_pages and not (chain and self._rng.random() >= CONFIRM_CHAIN_SHARE):
            topic = Topic(need=answer, goal=self._clues_about)
            yield from self._desk.pages([answer], topic, self._search_words([answer], ANSWER), thought="confirm")
        row = self._found.rows[0]
        lines = [self._lines[hop][_pair(row[hop.source], row[hop.target])] for hop in self._lines]
        return self._last_words("answer", answer, lines=" ".join(dict.fromkeys(lines)))

    def _count(self) -> str:
        names = self._found.names(ANSWER)
        self._desk.thoughts()  # the list just noted is the one that is counted
        return self._last_words("answer_count", str(len(names)), count=len(names), names=", ".join(names))

    def _compare(self) -> Script[str]:
        names, attribute = self._found.names(ANSWER), self._certificate.compared
        self._desk.note("compare", attribute=self._attribute(attribute), names=self._spoken(names))
        read = yield from self._values(names, attribute, ANSWER)
        values = {name: value for name, value in read.items() if isinstance(value, float)}
        if not values:
            return self._give_up(self._missing)
        best = (min if self._certificate.direction == "least" else max)(values, key=lambda name: values[name])
        said = ", ".join(f"{name} {value:,.10g}" if value >= 10_000 else f"{name} {value:.10g}" for name, value in values.items())
        return self._last_words("answer_compare", best, values=said, names=best)

    def _last_words(self, key: str, answer: str, **slots: object) -> str:
        self._desk.note(key, **slots)
        return f"{self._desk.thoughts()}\n\n<answer>{answer}</answer>"

    def _give_up(self, missing: str) -> str:
        self._desk.note("give_up", need=missing)
        return self._desk.thoughts()

    # --- words

    def _topic(self, hop: Hop) -> Topic:
        """What a hop looks for; on a page about one of several sources, in words about that one."""

        def wanted(source: str) -> str:
            return need(self._schema, self._kinds[hop.target], hop.relation, hop.forward, source, self._all_wanted)

        names = self._found.names(hop.source)
        spoken = self._spoken(names, "or") if len(names) <= CANDIDATES else "one of them"
        return Topic(need=wanted(spoken), goal=lambda name: wanted(self._spoken([name])), relation=hop.relation)

    def _clues_about(self, name: str) -> str:
        """What the question says about the answer, as a goal for reading its page."""
        row = self._found.rows[0]
        clues = []
        for atom in self._certificate.query.atoms:
            if atom.kind is AtomKind.EDGE and ANSWER in (atom.subject, atom.object):
                forward = atom.subject == ANSWER
                other = row.get(atom.object if forward else atom.subject, "")
                clues.append(verb_phrase(self._schema, atom.predicate, forward, self._spoken([other])))
            elif atom.subject == ANSWER:
                clues.append(self._attribute(atom.predicate))
        return f"check that {name} {'; '.join(clues)}"

    def _attribute(self, name: str) -> str:
        return self._schema.attributes[name].noun or name.replace("_", " ")

    def _search_words(self, names: Sequence[str], term: str) -> dict[str, tuple[str, str]]:
        """Name → the words it is searched by, and other words for a second try."""
        kind = noun(self._schema, self._kinds[term])
        return {name: (self._printed.get(name, name), f"{name} {kind}") for name in names}

    def _spoken(self, names: Sequence[str], conjunction: str = "and") -> str:
        return name_list([self._printed.get(name, name) for name in names], conjunction)


def _pair(source: str, target: str) -> tuple[str, str]:
    return normalise(source), normalise(target)


def _satisfies(value: float | str | None, atom: Atom) -> bool:
    """Whether a value as read satisfies a filter; a missing value does not."""
    if value is None or (isinstance(value, float) != (atom.kind is AtomKind.RANGE)):
        return False
    if isinstance(value, float):
        return (atom.low is None or atom.low <= value) and (atom.high is None or value <= atom.high)
    return normalise(value) == normalise(atom.value or "")
