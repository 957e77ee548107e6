"""What a model in this process is asked by a chat-completions body, and how its reply is sent."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from agents.formats import from_wire
from engine.errors import RejectedError
from engine.llm.protocol import CallRequest, Choice, TokenLogprob
from engine.llm.simulator.request import read_body, text_of
from engine.records import derive_id
from rl.generation import Sampling
from rl.tokens import prompt_ids
from serve.guard import Refused

TAKEN = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "logprobs",
    }
)
NEUTRAL: Mapping[str, Any] = {
    "top_logprobs": 0,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "parallel_tool_calls": True,
    "response_format": {"type": "text"},
}
"""What is not done here; the value that asks for nothing is let pass."""
PASSED_OVER = frozenset({"user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"})
"""Keys that change no reply. Any other key would change one, so it is refused and never ignored."""
HALF = "\ufffd"
"""What the first bytes of a character are decoded as."""
UNSUPPORTED = "unsupported_parameter"
OVERFLOW = "context_length_exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A checked request."""

    id: str
    """Of the reply: the same for the same draw, streamed or not."""
    prompt: tuple[int, ...]
    samplings: tuple[Sampling, ...]
    """One per choice."""
    stops: tuple[str, ...]
    calls: bool
    """Tools are offered."""
    logprobs: bool
    stream: bool
    stream_usage: bool


def read_job(raw: bytes, name: str, tokenizer: PreTrainedTokenizerBase, context: int, max_tokens: int, no_tools: str = "") -> Job:
    """What a body asks for.

    Args:
        name: of the model that is served.
        context: tokens that prompt and reply may have together.
        max_tokens: of a reply whose request does not say.
        no_tools: why this model cannot be offered any; empty: it can.

    Raises:
        BadRequest: it is none of the protocol's.
        Refused: it asks for another model, or for what is not done here.
    """
    body = read_body(raw)
    if body["model"] != name:
        raise Refused(404, f"The model '{body['model']}' does not exist; this is '{name}'.", param="model", code="model_not_found")
    _check_supported(body)
    tools = body.get("tools") or () if body.get("tool_choice") != "none" else ()
    if tools and no_tools:
        raise Refused(400, f"This model cannot be offered tools: {no_tools}", param="tools", code=UNSUPPORTED)
    prompt = _prompt(tokenizer, body["messages"], tools)
    if len(prompt) >= context:
        problem = f"The prompt has {len(prompt):,} tokens, which leaves no room in this model's maximum context length of {context:,}."
        raise Refused(400, problem, param="messages", code=OVERFLOW)
    seed = body.get("seed")
    seed = secrets.randbits(48) if seed is None else seed  # without one, every reply is to be another
    stop = body.get("stop") or ()
    samplings = tuple(
        Sampling(
            temperature=_given(body, "temperature", 1.0),
            top_p=_given(body, "top_p", 1.0),
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens") or max_tokens,
            seed=seed if number == 0 else int(derive_id(seed, number)[:12], 16),
        )
        for number in range(body.get("n") or 1)
    )
    return Job(
        id=derive_id(repr(prompt), repr(samplings), repr(stop)),
        prompt=prompt,
        samplings=samplings,
        stops=tuple(text for text in ([stop] if isinstance(stop, str) else stop) if text),
        calls=bool(tools),
        logprobs=bool(body.get("logprobs")),
        stream=bool(body.get("stream")),
        stream_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def _check_supported(body: Mapping[str, Any]) -> None:
    for key, value in body.items():
        if key in TAKEN or key in PASSED_OVER or value is None or (key in NEUTRAL and value == NEUTRAL[key]):
            continue
        problem = f"'{key}' is not supported by engine=transformers: leave it out, or serve with engine=vllm."
        raise Refused(400, problem, param=key, code=UNSUPPORTED)
    if body.get("tool_choice") not in (None, "none", "auto"):
        raise Refused(400, "'tool_choice' can be 'auto' or 'none' with engine=transformers.", param="tool_choice", code=UNSUPPORTED)


def _prompt(tokenizer: PreTrainedTokenizerBase, wires: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    for number, wire in enumerate(wires):
        if any(part["type"] != "text" for part in wire.get("content") or () if isinstance(part, Mapping)):
            raise Refused(400, "This model reads text only.", param=f"messages[{number}].content", code=UNSUPPORTED)
    roles = {"developer": "system"}
    messages = [from_wire({**wire, "content": text_of(wire), "role": roles.get(wire["role"], wire["role"])}) for wire in wires]
    try:
        return prompt_ids(tokenizer, messages, tools)
    except RejectedError as error:
        raise Refused(400, f"The model's chat template does not take this conversation: {error}", param="messages") from error


def _given(body: Mapping[str, Any], key: str, default: float) -> float:
    value = body.get(key)
    return default if value is None else float(value)


@dataclass(frozen=True, slots=True)
class Form:
    """The wire form of one reply."""

    job: Job
    model: str
    fingerprint: str

    def completion(self, choices: Sequence[Choice], tokens: int) -> dict[str, Any]:
        """A plain reply."""
        told = [
            {
                "index": number,
                "message": _message(choice),
                "finish_reason": choice.finish_reason,
                "logprobs": self._logprobs(choice.logprobs),
            }
            for number, choice in enumerate(choices)
        ]
        return self._head("chat.completion") | {"choices": told, "usage": self._usage(tokens)}

    def first(self, number: int) -> dict[str, Any]:
        """The event that begins a choice."""
        return self._chunk(number, {"role": "assistant", "content": ""})

    def piece(self, number: int, words: str, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        """An event with words."""
        return self._chunk(number, {"content": words}, logprobs=self._logprobs(logprobs))

    def last(self, number: int, choice: Choice) -> dict[str, Any]:
        """The event that ends a choice, with its calls."""
        calls = [{"index": position, **_call(call)} for position, call in enumerate(choice.tool_calls)]
        return self._chunk(number, {"tool_calls": calls} if calls else {}, finish_reason=choice.finish_reason)

    def total(self, tokens: int) -> dict[str, Any]:
        """The event behind all choices."""
        return self._head("chat.completion.chunk") | {"choices": [], "usage": self._usage(tokens)}

    def _chunk(self, number: int, delta: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        choice = {"index": number, "delta": delta, "logprobs": None, "finish_reason": None} | more
        usage = {"usage": None} if self.job.stream_usage else {}
        return self._head("chat.completion.chunk") | usage | {"choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        identity = f"chatcmpl-{self.job.id}"
        return {
            "id": identity,
            "object": kind,
            "created": int(time.time()),
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def _usage(self, tokens: int) -> dict[str, int]:
        prompt = len(self.job.prompt)
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self.job.logprobs:
            return None
        return {"content": [_token(one) for one in tokens], "refusal": None}


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.content, "refusal": None}
    if choice.tool_calls:
        message |= {"content": choice.content or None, "tool_calls": [_call(call) for call in choice.tool_calls]}
    return message


def _call(call: CallRequest) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _token(told: TokenLogprob) -> dict[str, Any]:
    """Part of a character has bytes of its own that its text does not show."""
    shown = None if HALF in told.token else list(told.token.encode())
    return {"token": told.token, "logprob": told.logprob, "bytes": shown, "top_logprobs": []}
