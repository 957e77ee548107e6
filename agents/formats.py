"""Messages ↔ OpenAI chat-completions dicts, and the final answer in a message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agents.records import Message, ToolCall
from engine.llm.protocol import ChatReply
from engine.records import canonical_json

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def to_wire(message: Message) -> dict[str, Any]:
    """One message in OpenAI form. Keys that do not apply are left out; arguments stay the JSON text the model wrote."""
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        wire["name"] = message.name
    return wire


def from_wire(wire: Mapping[str, Any]) -> Message:
    """OpenAI form → message; a null content becomes the empty text."""
    calls = (
        ToolCall(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
        for call in wire.get("tool_calls") or ()
    )
    return Message(
        role=wire["role"],
        content=wire.get("content") or "",
        tool_calls=tuple(calls),
        tool_call_id=wire.get("tool_call_id"),
        name=wire.get("name"),
    )


def to_wires(messages: Iterable[Message]) -> tuple[dict[str, Any], ...]:
    """A conversation in OpenAI form."""
    return tuple(to_wire(message) for message in messages)


def from_reply(reply: ChatReply) -> Message:
    """A model's reply as an assistant message; what a server sends apart as reasoning comes before the content."""
    content = "\n\n".join(part for part in (reply.reasoning.strip(), reply.content.strip()) if part)
    calls = tuple(ToolCall(id=call.id, name=call.name, arguments=call.arguments) for call in reply.tool_calls)
    return Message(role="assistant", content=content, tool_calls=calls)


def final_answer(message: Message) -> str | None:
    """What stands in the last `<answer>…</answer>` of an assistant message without tool calls; None when nothing does."""
    if message.role != "assistant" or message.tool_calls:
        return None
    found = [answer.strip() for answer in _ANSWER.findall(message.content)]
    return (found[-1] or None) if found else None


def spell_call(call: ToolCall) -> str:
    """Name and arguments in one spelling: equal for calls with equal arguments, however the JSON is written."""
    try:
        return f"{call.name} {canonical_json(json.loads(call.arguments or '{}'))}"
    except json.JSONDecodeError:
        return f"{call.name} {call.arguments}"
