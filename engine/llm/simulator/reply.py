"""A persona's words → what the API sends: choices cut by `stop` and `max_tokens`, log-probabilities, usage, stream chunks."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.llm.protocol import CallRequest
from engine.llm.simulator.personas import speak
from engine.llm.simulator.request import Asked
from engine.llm.simulator.tokens import count_tokens, cut_tokens, split_tokens
from engine.records import derive_id

ALTERNATIVES = (
    " the",
    " a",
    ",",
    " of",
    ".",
    " and",
    " in",
    " is",
    " to",
    " not",
    " that",
    " it",
    " gene",
    " by",
    " was",
    " as",
    " at",
    " or",
    "\n",
)
"""Tokens that top_logprobs shows beside the one that was written."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One finished choice."""

    content: str
    calls: tuple[CallRequest, ...]
    finish_reason: str
    logprobs: list[dict[str, Any]] | None

    @property
    def tokens(self) -> int:
        """Completion tokens: content, then names and arguments of calls."""
        return count_tokens(self.content) + sum(count_tokens(call.name) + count_tokens(call.arguments) for call in self.calls)


class Reply:
    """The reply to one request. Everything in it derives from the request and the fingerprint."""

    def __init__(self, asked: Asked, fingerprint: str) -> None:
        self._asked, self._fingerprint = asked, fingerprint
        self._choices = [_choice(asked, number) for number in range(asked.n)]

    def completion(self) -> dict[str, Any]:
        """The body of a plain reply."""
        choices = [
            {"index": number, "message": _message(choice), "finish_reason": choice.finish_reason, "logprobs": _logprobs(choice.logprobs)}
            for number, choice in enumerate(self._choices)
        ]
        return self._head("chat.completion") | {"choices": choices, "usage": self._usage()}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The events of a streamed reply, choice after choice; the last one holds the usage if it was asked for."""
        head = self._head("chat.completion.chunk") | ({"usage": None} if self._asked.stream_usage else {})
        for number, choice in enumerate(self._choices):
            for delta, logprobs in _deltas(choice):
                yield head | {"choices": [{"index": number, "delta": delta, "logprobs": _logprobs(logprobs), "finish_reason": None}]}
            yield head | {"choices": [{"index": number, "delta": {}, "logprobs": None, "finish_reason": choice.finish_reason}]}
        if self._asked.stream_usage:
            yield head | {"choices": [], "usage": self._usage()}

    def _head(self, kind: str) -> dict[str, Any]:
        """`created` is constant: a reply must not depend on the time."""
        identity = f"chatcmpl-{self._asked.key}"
        return {"id": identity, "object": kind, "created": 0, "model": self._asked.model, "system_fingerprint": self._fingerprint}

    def _usage(self) -> dict[str, int]:
        completion = sum(choice.tokens for choice in self._choices)
        prompt = self._asked.prompt_tokens
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _choice(asked: Asked, number: int) -> Choice:
    rng = random.Random(int(derive_id("choice", asked.key, number), 16))
    turn = speak(asked, rng)
    content, stopped = _stopped(turn.content, asked.stop)
    calls = tuple(
        CallRequest(id=f"call_{derive_id(asked.key, number, position)[:24]}", name=call.name, arguments=call.arguments)
        for position, call in enumerate(() if stopped else turn.calls)
    )
    content, calls, cut = _cut(content, calls, asked.max_tokens)
    reason = "length" if cut else "tool_calls" if calls else "stop"
    return Choice(content, calls, reason, _token_logprobs(content, asked.top_logprobs, rng) if asked.logprobs else None)


def _stopped(content: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The text before the first stop sequence, and whether there was one."""
    ends = [content.index(text) for text in stop if text in content]
    return (content[: min(ends)], True) if ends else (content, False)


def _cut(content: str, calls: tuple[CallRequest, ...], limit: int | None) -> tuple[str, tuple[CallRequest, ...], bool]:
    """At most `limit` tokens. As with real models, the cut may fall inside a call's arguments and leave invalid JSON."""
    if limit is None:
        return content, calls, False
    kept, left, cut = [], limit - count_tokens(content), count_tokens(content) > limit
    for call in calls:
        left -= count_tokens(call.name)
        if left < 0:
            cut = True
            break
        cut = cut or count_tokens(call.arguments) > left
        kept.append(CallRequest(id=call.id, name=call.name, arguments=cut_tokens(call.arguments, left)))
        left -= count_tokens(call.arguments)
    return cut_tokens(content, limit), tuple(kept), cut


def _message(choice: Choice) -> dict[str, Any]:
    """Content is null beside calls without words, as the API has it."""
    message: dict[str, Any] = {"role": "assistant", "content": choice.content or (None if choice.calls else ""), "refusal": None}
    if choice.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in choice.calls
        ]
    return message


def _deltas(choice: Choice) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]] | None]]:
    yield {"role": "assistant", "content": "" if choice.content else None}, None
    for number, token in enumerate(split_tokens(choice.content)):
        yield {"content": token}, None if choice.logprobs is None else choice.logprobs[number : number + 1]
    for position, call in enumerate(choice.calls):
        function = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{"index": position, "id": call.id, "type": "function", "function": function}]}, None
        for token in split_tokens(call.arguments):
            yield {"tool_calls": [{"index": position, "function": {"arguments": token}}]}, None


def _token_logprobs(content: str, top: int, rng: random.Random) -> list[dict[str, Any]]:
    return [_token_logprob(token, top, rng) for token in split_tokens(content)]


def _token_logprob(token: str, top: int, rng: random.Random) -> dict[str, Any]:
    """The written token has half of the probability or more; each alternative half of what is left."""
    left = rng.uniform(1e-6, 0.5)
    ranked = [(token, 1.0 - left)]
    for other in ALTERNATIVES[: max(0, top - 1)]:
        left /= 2
        ranked.append((other, left))
    shown = [{"token": text, "logprob": math.log(chance), "bytes": list(text.encode())} for text, chance in ranked]
    return shown[0] | {"top_logprobs": shown[:top]}


def _logprobs(tokens: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    return None if tokens is None else {"content": tokens, "refusal": None}
