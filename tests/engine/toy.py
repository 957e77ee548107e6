"""Two small stages over numbers: enough to see every way a row can end."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from engine.errors import RejectedError, TroubleError, UserError
from engine.records import Record, derive_id
from engine.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Record):
    """A number to work on."""

    value: int


def number(value: int) -> Number:
    """The number as a record, its own trace."""
    record_id = derive_id("number", value)
    return Number(id=record_id, trace_id=record_id, value=value)


class Square(Stage[Number, Number]):
    """Two attempts per number; sevens are rejected, fives are trouble while `trouble` stands, 13 raises, 99 hangs, 666 stops the run."""

    name: ClassVar[str] = "square"
    takes: ClassVar[type[Record]] = Number
    makes: ClassVar[type[Record]] = Number
    fan_out = 2

    def __init__(self, trouble: bool = False, log: str = "", pause_s: float = 0.0) -> None:
        self.trouble, self.log, self.pause_s = trouble, log, pause_s

    async def attempt(self, record: Number, ordinal: int, rng: random.Random) -> Number:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{record.value}\n")
        if record.value % 7 == 0:
            raise RejectedError("seven", f"{record.value} is a multiple of seven")
        if record.value % 5 == 0 and self.trouble:
            raise TroubleError("five")
        if record.value == 13:
            raise ValueError("bad luck")
        if record.value == 99:
            await asyncio.sleep(3600)
        if record.value == 666:
            raise UserError("the beast: → take another number")
        await asyncio.sleep(self.pause_s + rng.random() / 200)
        return Number(id=derive_id(record.id, "square", ordinal), trace_id=record.trace_id, value=record.value**2 + ordinal)


class Halve(Stage[Number, Number]):
    """Even numbers only; kills its own process once, at the first number, when told to."""

    name: ClassVar[str] = "halve"
    takes: ClassVar[type[Record]] = Number
    makes: ClassVar[type[Record]] = Number

    def __init__(self, kill_once: str = "") -> None:
        self.kill_once = kill_once

    async def attempt(self, record: Number, ordinal: int, rng: random.Random) -> Number:
        if self.kill_once and not Path(self.kill_once).exists():
            Path(self.kill_once).touch()
            os._exit(1)
        if record.value % 2:
            raise RejectedError("odd")
        return Number(id=derive_id(record.id, "halve", ordinal), trace_id=record.trace_id, value=record.value // 2)


class Relay(Stage[Number, Number]):
    """The second attempt on a number ends when the first one on the next has begun; a row's value is how many were at work at most."""

    name: ClassVar[str] = "relay"
    takes: ClassVar[type[Record]] = Number
    makes: ClassVar[type[Record]] = Number
    fan_out = 2

    def __init__(self, last: int) -> None:
        self.last = last

    async def open(self) -> None:
        self.begun = {value: asyncio.Event() for value in range(self.last + 1)}
        self.at_work = self.most = 0

    async def attempt(self, record: Number, ordinal: int, rng: random.Random) -> Number:
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        if ordinal == 0:
            self.begun[record.value].set()
        elif record.value < self.last:
            await self.begun[record.value + 1].wait()
        self.at_work -= 1
        return Number(id=derive_id(record.id, "relay", ordinal), trace_id=record.trace_id, value=self.most)
