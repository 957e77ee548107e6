"""One choice of a reply while it is drawn: tokens come in; words go out as soon as nothing that follows can change them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, Protocol

from transformers import PreTrainedTokenizerBase

from agents.dialects.hermes import HermesDialect
from engine.llm.protocol import CallRequest, ChatReply, Choice, TokenLogprob
from engine.records import derive_id
from rl.generation import Generated, Sampling
from serve.wire import HALF

CALL = "<tool_call>"
"""Begins a call in the text; see `agents.dialects.hermes`."""
GAP_S = 0.03
"""Seconds between two events of a stream, at least: whatever is in one, it costs a millisecond of CPU on its way through Ray Serve."""
_FORMAT = HermesDialect()


class TellingModel(Protocol):
    """A `TokenModel` that can be listened to while it draws; see `rl.local.LocalModel`."""

    context: int

    async def generate(self, prompt: Sequence[int], sampling: Sampling, tell: Callable[[int, float], None] | None = None) -> Generated:
        """Continue `prompt`, telling each token and its log-probability."""
        ...


class Draw:
    """A continuation that is being drawn."""

    def __init__(
        self, model: TellingModel, prompt: Sequence[int], sampling: Sampling, timeout_s: float, listen: bool, gap_s: float = 0.0
    ) -> None:
        """Begins at once; whoever begins it also closes it.

        Args:
            listen: have tokens as they come, which costs 0.1 ms each; else all at the end.
            gap_s: after some were had, wait for more so long, or until the end; the first are never waited for.
        """
        self._came: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
        self._listen, self._gap_s = listen, gap_s
        self._task = asyncio.create_task(model.generate(prompt, sampling, self._hear if listen else None))
        self._task.add_done_callback(self._end)
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._task.cancel)

    async def tokens(self) -> AsyncIterator[list[tuple[int, float]]]:
        """Ids and log-probabilities; together those that came while the last ones were being told."""
        while True:
            came = [await self._came.get()]
            while not self._came.empty():
                came.append(self._came.get_nowait())
            ended = came.index(None) if None in came else len(came)
            yield [token for token in came[:ended] if token]
            if ended < len(came):
                return
            if self._gap_s:
                await asyncio.wait((self._task,), timeout=self._gap_s)

    def finish(self) -> Literal["stop", "length"]:
        """How it ended.

        Raises:
            TimeoutError: it took longer than it may.
        """
        if self._task.cancelled():
            raise TimeoutError
        return self._task.result().finish

    def close(self) -> None:
        """Draw nothing more."""
        self._timer.cancel()
        self._task.cancel()

    def _hear(self, token: int, logprob: float) -> None:
        self._came.put_nowait((token, logprob))

    def _end(self, task: asyncio.Task[Generated]) -> None:
        if not (self._listen or task.cancelled() or task.exception()):
            for token in zip(task.result().ids, task.result().logprobs, strict=True):
                self._came.put_nowait(token)
        self._came.put_nowait(None)


class Writing:
    """Tokens → text. Stop texts end it and are not part of it; what may be the beginning of one is held back."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str], calls: bool) -> None:
        """`calls`: tools were offered, so tool calls are read; else they stay text, for clients that read them themselves."""
        self._tokenizer, self._stops, self._calls = tokenizer, stops, calls
        self._special = frozenset(tokenizer.all_special_ids)
        self._ids: list[int] = []
        self._window = self._read = 0
        """Text is made of the ids from `_read` on; they are decoded with those from `_window` on, since tokens join."""
        self._text = ""
        self._told = 0
        self.stopped = False
        """A stop text has come."""

    @property
    def tokens(self) -> int:
        """Taken in."""
        return len(self._ids)

    def take(self, came: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
        """Take in tokens up to a stop text; those that show. A special one may be the end of the turn, and waits for what follows."""
        shown = []
        for part in ([one] for one in came) if self._stops else (came,):
            if self.stopped:
                break
            self._ids += [token for token, _ in part]
            if self._ids and self._ids[-1] not in self._special:
                self._decode(self._ids)
            shown += [one for one in part if one[0] not in self._special]
        return shown

    def words(self) -> str:
        """Those that are certain by now, and were not told before."""
        return self._tell(self._certain())

    def end(self, finish: Literal["stop", "length"], scope: str) -> tuple[str, Choice]:
        """Everything has come: the words not told before, and the whole.

        Args:
            scope: what calls are named after.
        """
        if not self.stopped:
            ended = finish == "stop" and self._ids[-1] in self._special
            self._decode(self._ids[:-1] if ended else self._ids, last=True)
        if not self._calls:
            return self._tell(self._text), Choice(content=self._text, tool_calls=(), finish_reason="stop" if self.stopped else finish)
        message = _FORMAT.read(ChatReply(content=self._text, tool_calls=(), finish_reason=finish, prompt_tokens=0, completion_tokens=0), ())
        calls = tuple(
            CallRequest(id=f"call_{derive_id(scope, number)[:24]}", name=call.name, arguments=call.arguments)
            for number, call in enumerate(message.tool_calls)
        )
        reason = "length" if finish == "length" and not self.stopped else "tool_calls" if calls else "stop"
        return self._tell(message.content), Choice(content=message.content, tool_calls=calls, finish_reason=reason)

    def logprob(self, token: int, logprob: float) -> TokenLogprob:
        """As it is told."""
        return TokenLogprob(token=self._text_of([token]), logprob=logprob)

    def _tell(self, words: str) -> str:
        new, self._told = words[self._told :], max(self._told, len(words))
        return new

    def _certain(self) -> str:
        if not self._calls:
            return self._text[: len(self._text) - _beginnings(self._text, self._stops)]
        before, mark, _ = self._text.partition(CALL)
        certain = before if mark else before[: len(before) - _beginnings(before, (*self._stops, CALL))]
        return certain.strip()  # as the whole is, once the calls are taken out

    def _decode(self, ids: Sequence[int], last: bool = False) -> None:
        known, now = self._text_of(ids[self._window : self._read]), self._text_of(ids[self._window :])
        if now.endswith(HALF) and not last:
            return
        grown = len(self._text)
        self._text += now[len(known) :]
        self._window, self._read = self._read, len(ids)
        found = [place for stop in self._stops if (place := self._text.find(stop, max(0, grown - len(stop) + 1))) >= 0]
        if found:
            self._text, self.stopped = self._text[: min(found)], True

    def _text_of(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _beginnings(text: str, marks: Sequence[str]) -> int:
    """Characters at the end of a text that may be the beginning of a mark."""
    return max((length for mark in marks for length in range(1, len(mark)) if text.endswith(mark[:length])), default=0)
