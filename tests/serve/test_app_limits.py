"""The app in this process, on a real server without Ray: what is too much, too slow or not done here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

pytest.importorskip("torch", reason="the app needs the extra 'train'")

import uvicorn

from engine.config import EndpointConfig
from engine.errors import TroubleError
from engine.limits.limiter import Unlimited
from engine.llm.client import HttpChatModel
from engine.llm.protocol import ChatRequest
from rl.dataset import load_tokenizer
from rl.generation import Generated, Sampling
from rl.local import LocalModel
from serve.app import ChatApp
from serve.config import ServeConfig
from serve.writing import Draw
from tests.serve.parrot import HELLO, TOOL, write_parrot

OTHER = {"role": "user", "content": "one two"}
"""It has learned nothing about this, and rambles."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ServeConfig:
    folder = tmp_path_factory.mktemp("parrot")
    write_parrot(folder)
    return ServeConfig(model=str(folder), name="parrot")


@asynccontextmanager
async def served(app: ChatApp) -> AsyncIterator[str]:
    """The address of the app's own server."""
    server = uvicorn.Server(uvicorn.Config(app.asgi(), port=0, log_level="error"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


async def ask(url: str, **body: Any) -> tuple[int, Any, Any]:
    """Status, body and headers of a reply."""
    asked = {"model": "parrot", "messages": [HELLO]} | body
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=asked) as response:
        text = await response.text()
        return response.status, json.loads(text) if response.content_type == "application/json" else text, response.headers


async def test_more_requests_than_it_holds_are_sent_away_and_told_when_to_come_back(config: ServeConfig) -> None:
    async with served(ChatApp.load(replace(config, max_requests=3))) as url:
        replies = await asyncio.gather(*(ask(url, messages=[OTHER], max_tokens=200, temperature=2, seed=number) for number in range(9)))
    statuses = [status for status, _, _ in replies]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 3
    _, body, headers = replies[statuses.index(429)]
    assert body["error"]["type"] == "rate_limit_error" and headers["Retry-After"] == "1"


async def test_a_request_that_takes_too_long_ends_plain_and_streamed(config: ServeConfig) -> None:
    async with served(ChatApp.load(replace(config, timeout_s=0.05))) as url:
        slow = {"messages": [OTHER], "max_tokens": 400, "temperature": 2, "n": 8}
        status, body, _ = await ask(url, **slow)
        assert status == 408 and body["error"]["code"] == "timeout"
        status, text, _ = await ask(url, **slow, stream=True)
        *_, last = text.strip().split("\n\n")
        assert status == 200 and json.loads(last.removeprefix("data: "))["error"]["code"] == "timeout"
        model = HttpChatModel(EndpointConfig(base_url=f"{url}/v1", model="parrot"), Unlimited())
        with pytest.raises(TroubleError, match="model_timeout"):
            await model.complete(ChatRequest(messages=(OTHER,), max_tokens=400, temperature=2, n=8))
        await model.close()


class Endless:
    """A model that never comes to an end, and knows whether anybody waits."""

    context = 100
    waiting = 0

    async def generate(self, prompt: Sequence[int], sampling: Sampling, tell: Callable[[int, float], None] | None = None) -> Generated:
        self.waiting += 1
        try:
            while True:
                if tell:
                    tell(5, -1.0)
                await asyncio.sleep(0.01)
        finally:
            self.waiting -= 1


async def test_a_caller_who_hangs_up_leaves_nothing_running(config: ServeConfig) -> None:
    model = Endless()
    async with served(ChatApp(config, model, load_tokenizer(config.model), "fp")) as url, aiohttp.ClientSession() as session:
        body = {"model": "parrot", "messages": [OTHER], "stream": True, "n": 3}
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            await response.content.readany()
            assert model.waiting == 3
            response.close()
        while model.waiting:
            await asyncio.sleep(0.01)


class Steady:
    """A model that says twenty tokens one by one."""

    context = 100

    async def generate(self, prompt: Sequence[int], sampling: Sampling, tell: Callable[[int, float], None] | None = None) -> Generated:
        for token in range(20):
            await asyncio.sleep(0.002)
            if tell:
                tell(token, -1.0)
        return Generated(ids=tuple(range(20)), logprobs=(-1.0,) * 20, finish="length")


async def test_a_stream_gathers_what_comes_soon_and_waits_for_neither_the_first_nor_the_end() -> None:
    told: dict[float, list[list[int]]] = {}
    for gap_s in (0.0, 30.0):
        async with asyncio.timeout(20):
            draw = Draw(Steady(), [1], Sampling(max_tokens=20), 60.0, listen=True, gap_s=gap_s)
            told[gap_s] = [[token for token, _ in came] async for came in draw.tokens()]
            draw.close()
        assert [token for came in told[gap_s] for token in came] == list(range(20))
    assert len(told[0.0]) > 5 and len(told[30.0][0]) < 5 and len(told[30.0]) <= 3


NOT_DONE: Sequence[tuple[dict[str, Any], str]] = (
    ({"top_logprobs": 3, "logprobs": True}, "top_logprobs"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}}, "response_format"),
    ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
    ({"top_k": 5}, "top_k"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages[0].content"),
    ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "y"}]}, "messages[0].role"),
    ({"temperature": 3}, "temperature"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"messages": [{"role": "user", "content": "x" * 2000}]}, "messages"),
)


async def test_what_is_not_done_is_refused_by_name_and_never_ignored(config: ServeConfig) -> None:
    async with served(ChatApp.load(config)) as url:
        for asked, param in NOT_DONE:
            status, body, _ = await ask(url, **asked)
            assert (status, body["error"]["param"]) == (400, param), body
            assert body["error"]["type"] == "invalid_request_error"
        nothing = {"frequency_penalty": 0, "response_format": {"type": "text"}, "tool_choice": "none", "user": "me", "top_logprobs": None}
        assert (await ask(url, **nothing, tools=[TOOL]))[0] == 200


async def test_a_template_without_calls_refuses_tools_and_answers_the_rest(config: ServeConfig) -> None:
    tokenizer = load_tokenizer(config.model)
    tokenizer.chat_template = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    async with served(ChatApp(config, LocalModel.load(config.model), tokenizer, "fp")) as url:
        status, body, _ = await ask(url, tools=[TOOL])
        assert status == 400 and body["error"]["param"] == "tools"
        assert (await ask(url, max_tokens=2))[0] == 200
