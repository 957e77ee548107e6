"""A model in this process behind the chat-completions protocol: the app of `engine=transformers`, for Ray Serve or any ASGI server.

Nothing is kept between requests but what the model caches. Each request renders its conversation anew, so a turn's tokens may differ
from those that were sampled (see `rl.chat`): this is for clients that hold text, not for training.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from engine.errors import ConfigError, RejectedError
from engine.llm.protocol import Choice, TokenLogprob
from engine.llm.simulator.request import BadRequest
from rl.chat import check_template
from rl.dataset import load_tokenizer
from rl.local import LocalModel
from serve.config import ServeConfig
from serve.fingerprint import fingerprint
from serve.guard import Door, Guard, Refused
from serve.meter import Meter
from serve.wire import Form, Job, read_job
from serve.writing import GAP_S, Draw, TellingModel, Writing

END = b"data: [DONE]\n\n"
LATE = Refused(408, "The request took longer than timeout_s allows.", code="timeout")
_PROBE = {"type": "function", "function": {"name": "probe", "parameters": {"type": "object", "properties": {"key": {"type": "string"}}}}}


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is told of a choice at once."""

    number: int
    words: str
    logprobs: Sequence[TokenLogprob] = ()
    first: bool = False
    whole: Choice | None = None
    """With the last piece."""
    tokens: int = 0
    """Of the whole choice, with the last piece."""


class ChatApp:
    """One model's endpoint."""

    def __init__(self, config: ServeConfig, model: TellingModel, tokenizer: Any, mark: str) -> None:
        """`mark`: the weights' fingerprint.

        Raises:
            ConfigError: the variable with the token is not set.
        """
        self._config, self._model, self._tokenizer, self._mark = config, model, tokenizer, mark
        self._door = Door.of(config)
        self._name = config.served_name
        self._meter = Meter(self._name)
        try:
            check_template(tokenizer, [_PROBE])
            self._no_tools = ""
        except (ConfigError, RejectedError) as error:
            self._no_tools = str(error)

    @classmethod
    def load(cls, config: ServeConfig) -> Self:
        """Raises: ConfigError: the folder holds no model that can be served so, or the variable with the token is not set."""
        own = config.transformers
        try:
            tokenizer = load_tokenizer(config.model)
            model = LocalModel.load(config.model, threads=own.threads, max_batch=own.max_batch, cache_mb=own.cache_mb)
        except ConfigError as error:
            raise ConfigError("model", error.problem, error.remedy) from None  # it is called otherwise in training
        return cls(config, model, tokenizer, fingerprint(config.model))

    def asgi(self) -> ASGIApp:
        """The whole app."""
        routes = [
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/health", self.health, methods=["GET"]),
        ]
        app = Starlette(
            routes=routes, exception_handlers=dict.fromkeys((Refused, BadRequest, TimeoutError, HTTPException, Exception), _refuse)
        )
        return self._meter.around(Guard(app, self._door))

    async def health(self, request: Request) -> Response:
        """GET /health."""
        return JSONResponse({"status": "ok"})

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        model = {"id": self._name, "object": "model", "created": 0, "owned_by": "hopforge", "fingerprint": self._mark}
        return JSONResponse({"object": "list", "data": [model | {"max_model_len": self._model.context}]})

    async def complete(self, request: Request) -> Response:
        """POST /v1/chat/completions.

        Raises:
            Refused, BadRequest, TimeoutError: it is not answered.
        """
        if self._meter.open > self._config.max_requests:
            raise Refused(429, "Too many requests are waiting; try again.", code="rate_limit_exceeded", headers={"Retry-After": "1"})
        own = self._config.transformers
        job = read_job(await request.body(), self._name, self._tokenizer, self._model.context, own.max_tokens, self._no_tools)
        form = Form(job, self._name, self._mark)
        if job.stream:
            return StreamingResponse(self._events(job, form), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        ended = [piece async for piece in self._pieces(job) if piece.whole]
        choices = [piece.whole for piece in ended if piece.whole]
        return Response(to_json(form.completion(choices, sum(piece.tokens for piece in ended))), media_type="application/json")

    async def _events(self, job: Job, form: Form) -> AsyncIterator[bytes]:
        """Server-sent events, choice after choice. Trouble that comes too late for a status is an event of its own."""
        tokens = 0
        try:
            async for piece in self._pieces(job):
                if piece.first:
                    yield _event(form.first(piece.number))
                if piece.words or piece.logprobs:
                    yield _event(form.piece(piece.number, piece.words, piece.logprobs))
                if piece.whole:
                    tokens += piece.tokens
                    yield _event(form.last(piece.number, piece.whole))
        except TimeoutError:
            yield _event(LATE.body)
            return
        if job.stream_usage:
            yield _event(form.total(tokens))
        yield END

    async def _pieces(self, job: Job) -> AsyncIterator[_Piece]:
        """The choices, drawn side by side and told one after the other.

        Raises:
            TimeoutError: they took longer than they may.
        """
        listen, gap_s = job.stream or bool(job.stops), GAP_S if job.stream else 0.0
        draws = [Draw(self._model, job.prompt, sampling, self._config.timeout_s, listen, gap_s) for sampling in job.samplings]
        written = 0
        try:
            for number, draw in enumerate(draws):
                writing, logprobs = Writing(self._tokenizer, job.stops, job.calls), []
                async for came in draw.tokens():
                    first = not writing.tokens
                    shown = writing.take(came)
                    new = [writing.logprob(*token) for token in shown] if job.logprobs else []
                    yield _Piece(number, writing.words(), new, first=first)
                    logprobs += new
                    if writing.stopped:
                        draw.close()
                        break
                words, whole = writing.end("stop" if writing.stopped else draw.finish(), f"{job.id}/{number}")
                written += writing.tokens
                yield _Piece(number, words, whole=replace(whole, logprobs=tuple(logprobs)), tokens=writing.tokens)
        finally:
            for draw in draws:
                draw.close()
            self._meter.tokens(len(job.prompt), written)


def _refuse(request: Request, error: Exception) -> Response:
    """Whatever was raised, in the API's form; what nobody foresaw is also logged by the server."""
    if isinstance(error, BadRequest):
        error = Refused(400, error.message, param=error.param)
    elif isinstance(error, HTTPException):
        error = Refused(error.status_code, f"{error.detail}: {request.method} {request.url.path}")
    elif isinstance(error, TimeoutError):
        error = LATE
    elif not isinstance(error, Refused):
        error = Refused(500, "The server had an error while processing your request.")
    return error.response()


def _event(data: Any) -> bytes:
    return b"data: " + to_json(data) + b"\n\n"
