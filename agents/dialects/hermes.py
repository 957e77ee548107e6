"""Tool calls as text in tags, as Hermes and Qwen models write them: <tool_call>{"name": …, "arguments": …}</tool_call>.

For servers that leave the parsing to the client. The form is that of NousResearch's Hermes function calling, which Qwen 2.5 took over:
tools in <tools> in the system message, results in <tool_response> in a user message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from agents.dialects.text import arguments_text, merged, said
from agents.formats import from_reply
from agents.records import Message, ToolCall
from engine.llm.protocol import ChatReply

TOOLS = """

# Tools
You may call one or more functions. Their signatures stand within <tools></tools>:
<tools>
{tools}
</tools>
For each call return a JSON object with the function's name and arguments within <tool_call></tool_call>:
<tool_call>
{{"name": <name>, "arguments": <arguments>}}
</tool_call>"""

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')


class HermesDialect:
    """Calls and results as text."""

    stop: tuple[str, ...] = ("<tool_response>",)

    def write(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]
    ) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
        """See `Dialect.write`; no tools are told to the server."""
        wires = [self._wire(message) for message in messages]
        if tools and wires and wires[0]["role"] == "system":
            listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
            wires[0] = wires[0] | {"content": wires[0]["content"] + TOOLS.format(tools=listed)}
        return merged(wires), ()

    def read(self, reply: ChatReply, tools: Sequence[dict[str, Any]]) -> Message:
        """See `Dialect.read`; calls that the server has parsed itself are taken as they are."""
        message = from_reply(reply)
        if message.tool_calls:
            return message
        calls = tuple(_call(text) for text in _CALL.findall(message.content))
        return Message(role="assistant", content=_CALL.sub("", message.content).strip(), tool_calls=calls)

    def _wire(self, message: Message) -> dict[str, Any]:
        if message.role == "tool":
            return said("user", f"<tool_response>\n{message.content}\n</tool_response>")
        calls = "".join(
            f'\n<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {_json(call)}}}\n</tool_call>' for call in message.tool_calls
        )
        return said(message.role, f"{message.content}{calls}".strip())


def _json(call: ToolCall) -> str:
    """The arguments as JSON: as written when they are, else as a string."""
    try:
        json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return json.dumps(call.arguments)
    return call.arguments or "{}"


def _call(text: str) -> ToolCall:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        named = _NAME.search(text)
        return ToolCall(id="", name=named[1] if named else "tool_call", arguments=text)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return ToolCall(id="", name="tool_call", arguments=text)
    return ToolCall(id="", name=value["name"], arguments=arguments_text(value.get("arguments", {})))
