"""A chat model behind the tape: a request that was answered once is answered from there, and costs nothing."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from engine.errors import TroubleError
from engine.llm.protocol import ChatModel, ChatReply, ChatRequest
from engine.llm.wire import options
from engine.tape.key import Effect
from engine.tape.tape import Tape

KIND = "model"
"""Of the effects written here."""


class Absent:
    """The model of a replay: nobody is asked, so no key and no server are needed."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Never answers.

        Raises:
            TroubleError: always; `Tape.perform` says `tape_miss` before it comes to this.
        """
        raise TroubleError("tape_miss", "a replay asks no model")


class TapedChatModel:
    """Answers from the tape or asks `model`. The tape itself is opened and closed by its owner: one serves many models and tools.

    Equal requests of one scope are one effect. Whoever wants a second answer to the same messages says so in
    `ChatRequest.scope` (or another seed).
    """

    def __init__(self, model: ChatModel, tape: Tape, stage: str, fingerprint: str) -> None:
        """`fingerprint` stands for all that shapes a reply and is not in the request: the served model (name and revision) and
        the endpoint's own temperature and completion limit, which fill in what a request leaves open."""
        self._model, self._tape, self._stage, self._fingerprint = model, tape, stage, fingerprint

    def complete(self, request: ChatRequest) -> Coroutine[Any, Any, ChatReply]:
        """The reply on the tape, or the model's, written before it is returned.

        Raises:
            TroubleError, RejectedError: see `ChatModel.complete` and `Tape.perform`; `tape_miss` in replay.
            UserError: the tape cannot be written.
        """
        effect = Effect(
            kind=KIND, stage=self._stage, request=canonical_request(request), fingerprint=self._fingerprint, scope=request.scope
        )

        return self._tape.perform(effect, lambda: self._model.complete(request), ChatReply)


def canonical_request(request: ChatRequest) -> dict[str, Any]:
    """What of a request decides the reply, in wire form. What is not set is left out, so that an option added later
    does not change the keys of requests that do not use it."""
    wire: dict[str, Any] = {"messages": request.messages} | options(request)
    return wire | {"tools": request.tools} if request.tools else wire
