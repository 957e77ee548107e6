"""A schema read off the names in the files, for data that brings none. The prose is plain; a written schema reads better."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from samplers.graph.names import tokens
from samplers.graph.schema import Attribute, AttributeForm, EdgeAttribute, Fold, GraphSchema, Kind, Relation
from samplers.graph.tables import Table

SYNONYM_NAMES = frozenset({"sameas", "owlsameas", "exactmatch", "equivalentto", "equivalentclass", "synonymof"})
PREPOSITIONS = frozenset({"of", "in", "by", "to", "for", "from", "with", "at", "on", "into", "through", "within", "against", "during"})
PARTICIPLES = ("ed", "wn", "en", "und", "part", "member", "known", "similar", "subclass")
"""How the word before a closing preposition ends when `is` goes before it: located in, part of."""
PLURALS = ((r"(?<=[^aeiou])y$", "ies"), (r"(s|x|z|ch|sh)$", r"\1es"), (r"$", "s"))
"""Endings tried in order; irregular plurals need a written schema."""


def infer_schema(name: str, nodes: Table, edges: Table) -> GraphSchema:
    """Kinds, relations and attributes as the files name them. Spellings that differ only in case and punctuation are folded."""
    spellings: dict[tuple[str, ...], list[str]] = {}
    for spelling in sorted(edges.column("relation").unique().to_pylist()):
        spellings.setdefault(tokens(spelling), []).append(spelling)
    relations = {same[0]: _relation(same[0]) for words, same in spellings.items() if not _is_synonym(words)}
    return GraphSchema(
        name=name,
        kinds={kind: _kind(kind) for kind in sorted(nodes.column("kind").unique().to_pylist())},
        relations=relations,
        folds={other: Fold(relation=same[0], reverse=False) for same in spellings.values() if same[0] in relations for other in same[1:]},
        merges=tuple(sorted(spelling for words, same in spellings.items() if _is_synonym(words) for spelling in same)),
        attributes={column: _attribute(nodes, column) for column in _further(nodes, ("id", "name", "kind", "source", "aliases"))},
        edge_attributes={
            column: EdgeAttribute(form=_form(edges, column), noun=_words(column))
            for column in _further(edges, ("source", "relation", "target", "provenance"))
        },
        source=name,
    )


def _relation(spelling: str) -> Relation:
    text = " ".join(re.sub(r"[\[\]{}|_]", " ", spelling).split()) or "related to"
    words = text.lower().split()
    if words[0] == "has" and len(words) > 1:
        noun = " ".join(words[1:])
        return Relation(forward=f"[has|have] the {noun} {{object}}", back=f"[is a|are] {noun} of {{subject}}")
    if words[0] == "is" and len(words) > 1:
        rest = " ".join(words[1:])
        return Relation(forward=f"[is|are] {rest} {{object}}", back=f"[is one|are ones] that {{subject}} is {rest}")
    if words[-1] in PREPOSITIONS and (len(words) == 1 or words[-2].endswith(PARTICIPLES)):
        return Relation(forward=f"[is|are] {text} {{object}}", back=f"[is one|are ones] that {{subject}} is {text}")
    verb = next((place for place, word in enumerate(words[:2]) if re.search(r"[^s(]s$", word)), None)
    if verb is None:
        return Relation(forward=f"[is|are] linked by “{text}” to {{object}}", back=f"[is|are] linked by “{text}” from {{subject}}")
    forward = " ".join((*words[:verb], f"[{words[verb]}|{_bare(words[verb])}]", *words[verb + 1 :], "{object}"))
    return Relation(forward=forward, back=f"[is one|are ones] that {{subject}} {' '.join(words)}")


def _bare(verb: str) -> str:
    if verb.endswith(("sses", "shes", "ches", "xes", "zes", "oes")):
        return verb[:-2]
    return f"{verb[:-3]}y" if verb.endswith("ies") else verb[:-1]


def _is_synonym(words: tuple[str, ...]) -> bool:
    return "".join(words) in SYNONYM_NAMES


def _kind(kind: str) -> Kind:
    noun = _words(kind)
    pattern, ending = next((pattern, ending) for pattern, ending in PLURALS if re.search(pattern, noun))
    return Kind(noun=noun, plural=re.sub(pattern, ending, noun, count=1))


def _attribute(table: Table, column: str) -> Attribute:
    noun, form = _words(column), _form(table, column)
    if form == "text":
        return Attribute(form=form, noun=noun, clause=f"[has|have] the {noun} {{value}}")
    return Attribute(
        form=form,
        noun=noun,
        clause=f"[has|have] a {noun} {{range}}",
        least=f"has the lowest {noun}",
        most=f"has the highest {noun}",
    )


def _form(table: Table, column: str) -> AttributeForm:
    text = table.column(column)
    try:
        pc.if_else(pc.equal(text, ""), None, text).cast(pa.float64())
    except pa.ArrowInvalid:
        return "text"
    return "year" if "year" in tokens(_words(column)) else "number"


def _further(table: Table, known: tuple[str, ...]) -> list[str]:
    return [name for name in table.data.column_names if name not in known]


def _words(name: str) -> str:
    """`ChemicalSubstance`, `chemical_substance` → `chemical substance`."""
    return " ".join(tokens(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name))) or name
