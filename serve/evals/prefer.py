"""Stage "prefer": a pair is put to a judge, once in each order."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import yaml

from agents.config import CurateConfig
from engine.errors import ConfigError, RejectedError
from engine.llm.protocol import ChatModel, ChatRequest
from engine.llm.structured import ask_for
from engine.records import derive_id
from engine.stage import Stage
from serve.evals.pairs import Pair
from serve.evals.pairwise import Choice, Preference, read_choice

REASON = 300
"""Characters of a judge's reason that are kept."""


class PreferCause(StrEnum):
    """Why a call gave no preference."""

    UNREADABLE_VERDICT = "unreadable_verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferReply:
    """What a judge's model fills in."""

    reason: str
    better: Literal["A", "B", "equal"]


class PreferStage(Stage[Pair, Preference]):
    """Attempt 0 shows the first data set's row as A, attempt 1 the second's. A judge that does not answer is trouble, and asked again on
    the next run; one whose words cannot be read is a rejection. Neither is a tie."""

    name = "prefer"
    takes = Pair
    makes = Preference
    fan_out = 2

    def __init__(self, config: CurateConfig, judge: Callable[[], ChatModel]) -> None:
        """Args:
            config: of its keys `judge_reply` counts.
            judge: builds the judge role's model inside the actor.

        Raises:
            ConfigError: a pair is to be asked more than once in each order.
        """
        if config.judge_votes != 1:
            raise ConfigError("curate.judge_votes", "a pair is asked once in each order", "leave it at 1, and give more pairs=… instead")
        self._as_text, self._factory = config.judge_reply == "text", judge
        self._judge: ChatModel | None = None

    async def open(self) -> None:
        """Build the judge's model."""
        self._judge = self._factory()

    async def attempt(self, record: Pair, ordinal: int, rng: random.Random) -> Preference:
        """The judge's word in one order.

        Raises:
            RejectedError: it cannot be read, or the judge declined.
            TroubleError: the judge could not be asked.
        """
        assert self._judge is not None, "open() was not called"
        request = ChatRequest(
            messages=({"role": "system", "content": prompts()["system"]}, {"role": "user", "content": self._prompt(record, ordinal == 1)}),
            temperature=0.0,
            seed=int(derive_id("prefer", record.id, ordinal)[:8], 16) >> 1,
            scope=f"{record.id}/prefer/{ordinal}",
        )
        if self._as_text:
            text = (await self._judge.complete(request)).content
            choice, reason = read_choice(text), text.strip()[-REASON:]
            if choice is None:
                raise RejectedError(PreferCause.UNREADABLE_VERDICT, f"the judge's words end in {reason!r}")
        else:
            reply = await ask_for(self._judge, request, PreferReply)
            choice, reason = Choice(reply.better), reply.reason[:REASON]
        made = derive_id(record.id, self.name, ordinal)
        return Preference(id=made, trace_id=record.trace_id, pair_id=record.id, swapped=ordinal == 1, choice=choice, reason=reason)

    def _prompt(self, pair: Pair, swapped: bool) -> str:
        texts = prompts()
        shown = texts["pair"].format(first=pair.second if swapped else pair.first, second=pair.first if swapped else pair.second)
        return "\n\n".join([texts[pair.match], texts["text" if self._as_text else "shape"], shown])


@functools.cache
def prompts() -> dict[str, str]:
    """The prompts, by name."""
    texts: dict[str, str] = yaml.safe_load(Path(__file__).with_name("pairwise_prompts.yaml").read_text(encoding="utf-8"))
    return texts
