"""Tags that people give and take after a run: an overlay of rules beside the rows, whose shards stay as they were committed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from engine.errors import InputError
from engine.records import from_dict, to_dict
from engine.storage import Storage
from serve.runs.marks import Marked
from serve.runs.sets import QuestionSelection, choose_questions

FILE = "tags/rules.jsonl"
_TAG = re.compile(r"[^\W_][\w .:/+-]{0,59}")
_OURS = ("split:", "reward:")
"""What the code reads out of tags; an export splits anew instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRule:
    """Questions that meet a condition, or that are named, have a tag, or have it no longer. Rules hold in the order of the file."""

    tag: str
    adds: bool
    """False: takes it away."""
    where: Mapping[str, str] = field(default_factory=dict)
    """A `QuestionSelection`, as in an address; of tags it sees what the rules before it made."""
    ids: tuple[str, ...] = ()
    """Questions by name, as a model chose them; `where` is empty then."""
    by: str = "rule"
    """Who said so: `rule`, or the model's name."""
    when: str = ""
    """UTC, as `2026-01-31T12:00:00Z`."""


def check_tag(tag: str) -> None:
    """Raises: InputError: it is none, or one that the code reads."""
    if not _TAG.fullmatch(tag):
        raise InputError("tag", f"{tag[:80]!r} is no tag", "use up to 60 letters, digits and : . - / +, as in specialty:cardiology")
    if tag.startswith(_OURS):
        raise InputError("tag", f"{tag!r} begins with a word of the project's own", "choose another beginning")


class TagBook:
    """The rules in a run directory."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def add(self, rule: TagRule) -> None:
        """Append a rule.

        Raises:
            InputError: the tag is none, or one that the code reads.
            UserError: the place cannot be written.
        """
        check_tag(rule.tag)
        self._storage.append(FILE, (json.dumps(to_dict(rule), ensure_ascii=False, sort_keys=True) + "\n").encode())

    def read(self) -> list[TagRule]:
        """The rules in their order; a line torn by a kill is left out.

        Raises:
            InputError: a line of the file is no rule.
        """
        rules: list[TagRule] = []
        if not self._storage.exists(FILE):
            return rules
        for number, line in enumerate(self._storage.read(FILE).decode(errors="replace").split("\n"), 1):
            try:
                rules.append(from_dict(json.loads(line), TagRule))
            except json.JSONDecodeError:
                continue
            except ValueError as error:
                problem = f"line {number} is no rule: {str(error).splitlines()[0]}"
                raise InputError(self._storage.path(FILE), problem, "mend the line or take it out") from None
        return rules


def overlaid(table: pa.Table, rules: Sequence[TagRule], marked: Mapping[str, Marked], rows: pa.Table) -> pa.Table:
    """A table of `sets.gather` with the tags that the rules make of its own."""
    if not len(table):
        return table
    column = table.column_names.index("tags")
    for rule in rules:
        places = choose_questions(table, QuestionSelection.of(rule.where), marked, rows).tolist()
        if rule.ids:
            named = set(rule.ids)
            places = [place for place, own in enumerate(table["id"].to_pylist()) if own in named]
        tags = table["tags"].to_pylist()
        for place in places:
            others = [tag for tag in tags[place] or () if tag != rule.tag]
            tags[place] = [*others, rule.tag] if rule.adds else others
        table = table.set_column(column, "tags", pa.array(tags, pa.list_(pa.string())))
    return table
