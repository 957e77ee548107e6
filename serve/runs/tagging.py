"""Stage "tag": a model says which tags of a given list fit a question."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import RejectedError
from engine.llm.protocol import ChatModel, ChatRequest
from engine.llm.structured import ask_for
from engine.records import Record, derive_id
from engine.stage import Stage
from samplers.records import Question

SYSTEM = """You sort questions. Of the tags below, name those that fit the question you are shown; none may fit. {about}
Tags: {tags}
Reply with a JSON object: {{"tags": ["one of the tags", …]}}"""


class TagCause(StrEnum):
    """Why a model's word was not taken."""

    UNKNOWN_TAG = "unknown_tag"
    """It named one that it was not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged(Record):
    """What a model said of a question."""

    question_id: str
    tags: tuple[str, ...]
    """In the order of the list that it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagReply:
    """What the model fills in."""

    tags: tuple[str, ...]


class TagStage(Stage[Question, Tagged]):
    """The question and its answer are shown, its proof is not."""

    name = "tag"
    takes = Question
    makes = Tagged

    def __init__(self, tags: Sequence[str], about: str, model: Callable[[], ChatModel]) -> None:
        """Args:
        tags: what may be named.
        about: what else the model is told, e.g. what the tags mean.
        model: builds it inside the actor.
        """
        self._tags, self._factory = tuple(tags), model
        self._system = SYSTEM.format(about=about, tags=", ".join(tags))
        self._model: ChatModel | None = None

    async def open(self) -> None:
        """Build the model."""
        self._model = self._factory()

    async def attempt(self, record: Question, ordinal: int, rng: random.Random) -> Tagged:
        """The tags that fit.

        Raises:
            RejectedError: the model named a tag of its own, or its words cannot be read.
            TroubleError: it could not be asked.
        """
        assert self._model is not None, "open() was not called"
        shown = f"Question: {record.text}\nAnswer: {record.answer}"
        request = ChatRequest(
            messages=({"role": "system", "content": self._system}, {"role": "user", "content": shown}),
            temperature=0.0,
            seed=int(derive_id("tag", record.id)[:8], 16) >> 1,
            scope=f"{record.id}/tag",
        )
        said = set((await ask_for(self._model, request, TagReply)).tags)
        if strange := sorted(said - {*self._tags}):
            raise RejectedError(TagCause.UNKNOWN_TAG, f"the model named {strange[0][:80]!r}")
        named = tuple(tag for tag in self._tags if tag in said)
        return Tagged(id=derive_id(record.id, self.name), trace_id=record.trace_id, question_id=record.id, tags=named)
