"""A trajectory as the blocks that a page shows one below the other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from agents.curate.evidence import is_error
from agents.formats import final_answer
from agents.records import Fault, Message, ToolCall, Trajectory


class BlockKind(StrEnum):
    """What a block is, hence its colour."""

    SYSTEM = "system"
    QUESTION = "question"
    """The first thing that a user says."""
    USER = "user"
    THOUGHT = "thought"
    CALL = "call"
    RESULT = "result"
    ERROR = "error"
    """A result that says that it is none."""
    ANSWER = "answer"
    """What the assistant says last, with the answer in it."""


@dataclass(frozen=True, slots=True)
class Block:
    """One thing that was said."""

    kind: BlockKind
    text: str
    tool: str = ""
    """Calls and results: of which tool."""
    fault: Fault | None = None
    """Calls: what was made to go wrong with it."""
    seen: str = ""
    """Results: digests of the replies on the tape that it was made of."""


def blocks(trajectory: Trajectory) -> list[Block]:
    """All that was said, in its order; an assistant's thought and each of its calls stand apart."""
    faults = {fault.call_id: fault for fault in trajectory.faults}
    calls = [call for message in trajectory.messages for call in message.tool_calls]
    seen = dict(zip((call.id for call in calls), trajectory.calls_seen, strict=False))
    names = {call.id: call.name for call in calls}
    found: list[Block] = []
    for message in trajectory.messages:
        if message.role == "tool":
            called = message.tool_call_id or ""
            kind = BlockKind.ERROR if is_error(message) else BlockKind.RESULT
            found.append(Block(kind, message.content, message.name or names.get(called, ""), seen=seen.get(called, "")))
            continue
        if message.content.strip():
            found.append(Block(_kind(message, found), message.content))
        found += [Block(BlockKind.CALL, arguments(call), call.name, faults.get(call.id)) for call in message.tool_calls]
    return found


def _kind(message: Message, before: list[Block]) -> BlockKind:
    if message.role == "system":
        return BlockKind.SYSTEM
    if message.role == "user":
        return BlockKind.USER if any(block.kind is BlockKind.QUESTION for block in before) else BlockKind.QUESTION
    return BlockKind.ANSWER if final_answer(message) is not None else BlockKind.THOUGHT


def arguments(call: ToolCall) -> str:
    """The arguments as one would write them, `entity: systemic sclerosis`, a line each; what is no object stays as the model wrote it."""
    try:
        value = json.loads(call.arguments or "{}")
    except (json.JSONDecodeError, RecursionError):
        return call.arguments
    if not isinstance(value, dict):
        return call.arguments
    return "\n".join(f"{name}: {each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)}" for name, each in value.items())
