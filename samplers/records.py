"""The records this room makes: `Seed → Subgraph → Question`, and what a question's proof is made of.

Terms inside a query are plain strings: a variable starts with `?` (`?x` is always the answer), anything else is the
id of an entity in the graph. A constant *denotes every entity that bears its printed name* (as a name or alias).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.records import Record

ANSWER = "?x"


class SampleCause(StrEnum):
    """Why a seed gave no subgraph."""

    UNKNOWN_SEED = "unknown_seed"
    SEED_TOO_ISOLATED = "seed_too_isolated"


class QuestionCause(StrEnum):
    """Why a subgraph gave no question, or a question left the set."""

    NO_USABLE_CLUE = "no_usable_clue"
    NOT_UNIQUE = "not_unique"
    NOT_MINIMAL = "not_minimal"
    SHORTCUT = "shortcut"
    LEAK = "leak"
    TOO_FEW_HOPS = "too_few_hops"
    TOO_FEW_CONTENDERS = "too_few_contenders"
    PROOF_TOO_LARGE = "proof_too_large"
    DUPLICATE = "duplicate_question"
    ANSWER_QUOTA = "answer_quota"
    HOP_QUOTA = "hop_quota"


class Paradigm(StrEnum):
    """The shape of reasoning a question asks for."""

    CHAIN = "chain"
    INTERSECTION = "intersection"
    COUNT = "count"
    COMPARISON = "comparison"
    IMPORTED = "imported"


class AtomKind(StrEnum):
    """What an atom of a conjunctive query states."""

    EDGE = "edge"
    """`subject —predicate→ object` is a triple of the graph."""
    RANGE = "range"
    """Numeric attribute `predicate` of `subject` lies in [low, high], ends included; None leaves an end open."""
    EQUALS = "equals"
    """Text attribute `predicate` of `subject` equals `value`."""


class World(StrEnum):
    """Which world the proof speaks of."""

    CLOSED = "closed"
    """Every relation used is functional or complete: the proof holds outside the graph too."""
    OPEN = "open"
    """Some relation used is open: the proof holds in this snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed(Record):
    """One entity name to start from. `id` = `trace_id`, derived from the normalised name."""

    name: str
    """As written by the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One triple of the graph, with where it comes from."""

    source: str
    relation: str
    target: str
    provenance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph(Record):
    """A connected piece of the graph around a seed (its sampled ego network)."""

    seed_name: str
    seed_entity: str
    strategy: str
    """The strategy that made it; `mixed` names the one it drew."""
    nodes: tuple[str, ...]
    """Entity ids, the seed's first, no repeats."""
    edges: tuple[Edge, ...]
    """All graph edges between `nodes` that may serve as a clue."""
    backbone: tuple[str, ...]
    """The chain at its heart: consecutive entities are joined by an edge of the graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A hidden entity. `kind` is its sort: the noun the prose uses; every binding must be of this kind."""

    name: str
    kind: str
    entity: str
    """The entity it stands for in the subgraph the question was made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A named entity of the query and the name that is printed."""

    entity: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """One statement of a conjunctive query. `subject` and `object` are terms; `object` is empty for filters."""

    kind: AtomKind
    predicate: str
    """Relation name, or attribute name for a filter."""
    subject: str
    object: str = ""
    low: float | None = None
    high: float | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A conjunctive query whose answer variable is `?x`.

    Distinct variables bind distinct entities, none of them an entity a constant denotes (DESIGN.md, invariant 7).
    """

    variables: tuple[Variable, ...]
    constants: tuple[Constant, ...]
    atoms: tuple[Atom, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """What is left when atom number `atom` and all that it cuts off from `?x` is dropped."""

    atom: int
    answers: int
    """Number of answers then, capped at `answer_cap`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A proof that can be run again: what is claimed, on which graph, with which evidence."""

    query: Query
    paradigm: Paradigm
    answers: tuple[str, ...]
    """Entity ids of all answers of the query: one, except for count (3-20) and comparison (the ≥4 contenders)."""
    drops: tuple[Drop, ...]
    """One per atom, in order."""
    min_candidates: int
    """k: without any one atom at least this many answers remain."""
    answer_cap: int
    evidence: tuple[Edge, ...]
    """The edges that satisfy the query for the answer (for count and comparison: for every counted entity)."""
    compared: str = ""
    """Comparison only: the numeric attribute compared."""
    direction: str = ""
    """Comparison only: `least` or `most`."""
    world: World = World.OPEN
    graph_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the reasoning path, entities as placeholders, e.g. `[E1] is caused by mutations in [E2]`."""

    text: str
    source: str
    """Placeholder the step starts from."""
    relation: str
    """Relation or attribute name; empty for the closing count or comparison."""
    forward: bool
    """True: `source` is the relation's subject."""
    target: str
    """Placeholder the step arrives at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """What a placeholder of the cheat sheet stands for."""

    name: str
    """`E1`, `E2`, …"""
    entity: str
    label: str
    """The entity's printed name, or a value."""
    hidden: bool
    """True: must not appear in the question or in guidance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Record):
    """A question in words, its answer, and (when certified) its proof."""

    text: str
    answer: str
    """Printed name of the answer entity, or the number for a count question."""
    answer_aliases: tuple[str, ...]
    answer_entity: str
    """Entity id; empty for count questions and imported data."""
    paradigm: Paradigm
    hops: int
    """Number of edges of the query that the reasoning crosses."""
    difficulty: float
    seed_name: str
    strategy: str
    certified: bool
    """False for imported question-answer data: nothing is proved."""
    certificate: Certificate | None
    cheat_sheet: tuple[Step, ...]
    placeholders: tuple[Placeholder, ...]
    tags: tuple[str, ...] = ()
    """Labels for statistics, e.g. `specialty:cardiology`."""
