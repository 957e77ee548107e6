"""The model client against real servers on loopback: replies, and every way a server can misbehave."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import openai
import pytest
from aiohttp import web

from engine.config import EndpointConfig
from engine.errors import ConfigError, RejectedError, TroubleError
from engine.limits.limiter import Unlimited
from engine.llm.client import HttpChatModel, parse_reply
from engine.llm.protocol import ChatRequest
from engine.llm.retry import RETRIES, ModelCause, Retry, retry_after, with_retries
from engine.llm.simulator import Simulator, serve_simulator

SEARCH = {"type": "function", "function": {"name": "search", "description": "", "parameters": {"type": "object", "properties": {}}}}
REQUEST = ChatRequest(messages=({"role": "user", "content": "Which gene?"},), tools=(SEARCH,), seed=7)


@asynccontextmanager
async def server(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(base_url: str, timeout_s: float = 5.0, api_key_env: str | None = None) -> AsyncIterator[HttpChatModel]:
    endpoint = EndpointConfig(base_url=base_url, model="m", timeout_s=timeout_s, api_key_env=api_key_env)
    model = HttpChatModel(endpoint, Unlimited())
    try:
        yield model
    finally:
        await model.close()


async def test_simulator_plays_an_agent_and_repeats_itself() -> None:
    async with serve_simulator(Simulator()) as url, client(url) as model:
        first, again = await asyncio.gather(model.complete(REQUEST), model.complete(REQUEST))
    assert first == again
    assert [call.name for call in first.tool_calls] == ["search"]
    assert first.finish_reason == "tool_calls" and first.prompt_tokens > 0


async def test_simulator_speaks_to_the_official_client() -> None:
    async with serve_simulator(Simulator()) as url:
        official = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
        reply = await official.chat.completions.create(model="simulator", messages=[{"role": "user", "content": "Hello?"}])
        listed = await official.models.list()
        await official.close()
    assert "<answer>" in (reply.choices[0].message.content or "")
    assert [model.id for model in listed.data] == ["simulator"]


@pytest.mark.parametrize(
    ("status", "error", "cause"),
    [
        (429, TroubleError, ModelCause.OVERLOADED),
        (408, TroubleError, ModelCause.TIMEOUT),
        (500, TroubleError, ModelCause.SERVER_ERROR),
        (503, TroubleError, ModelCause.OVERLOADED),
        (400, RejectedError, ModelCause.REQUEST_REFUSED),
        (422, RejectedError, ModelCause.REQUEST_REFUSED),
    ],
)
async def test_statuses_map_to_typed_errors(
    status: int, error: type[TroubleError | RejectedError], cause: ModelCause, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.llm.retry.RETRIES", {})

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text="no")

    async with server(handler) as url, client(url) as model:
        with pytest.raises(error) as caught:
            await model.complete(REQUEST)
    assert caught.value.cause == cause


async def test_a_wrong_key_stops_the_run_and_the_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(status=401, text="bad key")

    monkeypatch.setenv("TEST_KEY", "s3cret")
    async with server(handler) as url, client(url, api_key_env="TEST_KEY") as model:
        with pytest.raises(ConfigError, match="bad key") as caught:
            await model.complete(REQUEST)
    assert seen == ["Bearer s3cret"] and "s3cret" not in str(caught.value)


def test_a_missing_key_is_named_before_any_call() -> None:
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        HttpChatModel(EndpointConfig(base_url="http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY"), Unlimited())
    with pytest.raises(ConfigError, match="no model endpoint"):
        HttpChatModel(EndpointConfig(), Unlimited())


async def test_slow_down_and_garbage_are_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.llm.retry.RETRIES", {})

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def dropped(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def garbage(request: web.Request) -> web.Response:
        return web.Response(text='{"id": "x", "choices": [')

    for handler, cause in ((slow, ModelCause.TIMEOUT), (dropped, ModelCause.UNREACHABLE), (garbage, ModelCause.MALFORMED_REPLY)):
        async with server(handler) as url, client(url, timeout_s=0.3) as model:
            with pytest.raises(TroubleError) as caught:
                await model.complete(REQUEST)
            assert caught.value.cause == cause


async def test_nobody_there_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.llm.retry.RETRIES", {ModelCause.UNREACHABLE: Retry(1, 0.01)})
    async with serve_simulator(Simulator()) as url:
        pass
    async with client(url) as model:
        with pytest.raises(TroubleError) as caught:
            await model.complete(REQUEST)
    assert caught.value.cause == ModelCause.UNREACHABLE


def test_reasoning_and_empty_choices() -> None:
    body = (
        '{"id":"1","object":"chat.completion","created":0,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
        '"message":{"role":"assistant","content":null,"reasoning_content":"hm"}}]}'
    )
    reply = parse_reply(body)
    assert (reply.content, reply.reasoning, reply.prompt_tokens) == ("", "hm", 0)
    with pytest.raises(TroubleError, match="malformed"):
        parse_reply('{"id":"1","object":"chat.completion","created":0,"model":"m","choices":[]}')


async def test_passing_trouble_is_tried_again_here_and_other_trouble_is_not() -> None:
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        if len(asked) == 1:
            return web.Response(status=429, headers={"Retry-After": "0"})
        if len(asked) == 2:
            return web.Response(status=500)
        return await Simulator().complete(request)

    async with server(handler) as url, client(url) as model:
        reply = await model.complete(REQUEST)
    assert [call.name for call in reply.tool_calls] == ["search"]
    assert len(asked) == 3 and asked[0] == asked[2] and asked[0]["seed"] == 7
    assert ModelCause.TIMEOUT not in RETRIES and ModelCause.REQUEST_REFUSED not in RETRIES


async def test_retries_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.llm.retry.RETRIES", {ModelCause.SERVER_ERROR: Retry(2, 0.001)})
    tried = []

    async def call() -> None:
        tried.append(1)
        raise TroubleError(ModelCause.SERVER_ERROR)

    with pytest.raises(TroubleError):
        await with_retries(call)
    assert len(tried) == 3


def test_retry_after_is_read_in_all_its_forms() -> None:
    assert retry_after({"Retry-After": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250", "Retry-After": "9"}) == 0.25
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"Retry-After": "soon"}) == 0.0 and retry_after({}) == 0.0


def test_a_client_never_travels_with_its_key() -> None:
    with pytest.raises(TypeError, match="holds a key"):
        pickle.dumps(HttpChatModel(EndpointConfig(base_url="http://127.0.0.1:9/v1"), Unlimited()))
