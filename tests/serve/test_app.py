"""The whole endpoint on Ray Serve, driven as people drive it: the `openai` client, raw events, our own client with a tape; and a kill."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the app needs the extra 'train'")

import openai
from fastapi import FastAPI
from pydantic import BaseModel

from agents.formats import from_wire
from engine.config import EndpointConfig
from engine.limits.limiter import Unlimited
from engine.llm.client import HttpChatModel
from engine.llm.protocol import ChatReply, ChatRequest
from engine.llm.taped import Absent, TapedChatModel
from engine.tape.tape import Tape, TapeMode
from rl.dataset import load_tokenizer
from rl.generation import Sampling
from rl.local import LocalModel
from rl.tokens import prompt_ids
from scripts.serve import free_port
from serve.config import ServeConfig, ServeSettings
from serve.fingerprint import fingerprint
from serve.vllm import guarded
from tests.serve.parrot import CALL, HELLO, HELLO_REPLY, SEARCH, SEARCH_WORDS, TOOL, write_parrot

TOKEN = "PATH"
"""As `token_env`: a variable that the workers of a Ray have that was started by an earlier test."""
OTHER = {"role": "user", "content": "one two"}
"""It has learned nothing about this, and rambles."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parrot")
    write_parrot(path)
    return path


@pytest.fixture(scope="module")
def url(ray_local: None, folder: Path) -> Iterator[str]:
    """The endpoint that all tests here share."""
    from ray import serve as ray_serve

    from serve import deploy

    settings = ServeSettings(model=str(folder), name="parrot", token_env=TOKEN, max_body_mb=1, port=free_port("127.0.0.1"))
    try:
        deploy.start(deploy.build(deploy.values(settings)), settings, settings.port)
        yield f"http://127.0.0.1:{settings.port}/v1"
    finally:
        ray_serve.shutdown()


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=os.environ[TOKEN], max_retries=0)


def ours(url: str) -> HttpChatModel:
    return HttpChatModel(EndpointConfig(base_url=url, model="parrot", api_key_env=TOKEN, temperature=0.0, max_tokens=60), Unlimited())


def create(client: openai.OpenAI, **asked: Any) -> Any:
    return client.chat.completions.create(**({"model": "parrot", "messages": [HELLO], "temperature": 0, "max_tokens": 60} | asked))


def post(url: str, body: bytes, **headers: str) -> tuple[int, str, bytes]:
    """Status, type and body of a reply, as the bytes came."""
    sent = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ[TOKEN]}"} | headers
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/chat/completions", body, sent), timeout=60) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_a_plain_reply(client: openai.OpenAI, folder: Path) -> None:
    reply = create(client)
    assert reply.choices[0].message.content == HELLO_REPLY and reply.choices[0].finish_reason == "stop"
    assert reply.choices[0].message.tool_calls is None and reply.choices[0].logprobs is None
    tokenizer = load_tokenizer(str(folder))
    assert reply.usage.prompt_tokens == len(prompt_ids(tokenizer, [from_wire(HELLO)]))
    assert reply.usage.completion_tokens == len(tokenizer.encode(HELLO_REPLY)) + 1
    assert reply.system_fingerprint == fingerprint(folder) and reply.model == "parrot"


def test_a_streamed_reply_says_the_same_in_pieces(client: openai.OpenAI) -> None:
    for asked in ({}, {"stop": ["END"]}, {"max_tokens": 5}, {"messages": [OTHER], "temperature": 1.5, "seed": 3, "n": 2}):
        plain = create(client, **asked)
        *chunks, last = create(client, **asked, stream=True, stream_options={"include_usage": True})
        for number, choice in enumerate(plain.choices):
            parts = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == number]
            assert "".join(part.delta.content or "" for part in parts) == choice.message.content
            assert [part.finish_reason for part in parts if part.finish_reason] == [choice.finish_reason]
            assert parts[0].delta.role == "assistant"
        assert last.usage == plain.usage and {chunk.id for chunk in chunks} == {last.id}


def test_the_bytes_of_a_stream_are_events(url: str) -> None:
    body = json.dumps({"model": "parrot", "messages": [HELLO], "temperature": 0, "max_tokens": 4, "stream": True}).encode()
    status, kind, data = post(url, body)
    assert status == 200 and kind.startswith("text/event-stream") and data.endswith(b"data: [DONE]\n\n")
    events = [json.loads(event.removeprefix("data: ")) for event in data.decode().split("\n\n")[:-2]]
    assert all(event["object"] == "chat.completion.chunk" and "usage" not in event for event in events)
    assert events[-1]["choices"][0]["finish_reason"] == "length"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_streams_it(url: str) -> None:
    body = json.dumps({"model": "parrot", "messages": [HELLO], "temperature": 0, "stream": True})
    told = ["-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {os.environ[TOKEN]}", "-d", body]
    command = ["curl", "-sSN", "--fail", "--max-time", "60", f"{url}/chat/completions", *told]
    *events, last, _ = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\n\n")
    deltas = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("content") or "" for delta in deltas) == HELLO_REPLY and last == "data: [DONE]"
    assert deltas[0] == {"role": "assistant", "content": ""} and len(deltas) >= 3


def test_tool_calls_are_read_where_tools_were_offered(client: openai.OpenAI) -> None:
    asked = {"messages": [SEARCH], "tools": [TOOL], "seed": 1}
    choice = create(client, **asked).choices[0]
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and choice.message.content == SEARCH_WORDS
    assert (call.function.name, call.function.arguments, call.type) == (CALL.name, CALL.arguments, "function")
    parts = [chunk.choices[0] for chunk in create(client, **asked, stream=True)]
    assert "".join(part.delta.content or "" for part in parts) == SEARCH_WORDS and parts[-1].finish_reason == "tool_calls"
    (streamed,) = parts[-1].delta.tool_calls
    assert (streamed.id, streamed.function) == (call.id, type(streamed.function)(**call.function.model_dump()))
    answered = [SEARCH, choice.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "a gene"}]
    assert create(client, messages=answered, tools=[TOOL], max_tokens=3).usage.prompt_tokens > 100


def test_a_stop_text_ends_a_reply_and_is_not_in_it(client: openai.OpenAI) -> None:
    choice = create(client, stop=["END", "nowhere"]).choices[0]
    assert choice.message.content == HELLO_REPLY.partition("END")[0] and choice.finish_reason == "stop"
    assert create(client, stop="Gott").choices[0].message.content == "Grüß "


async def test_a_seed_gives_what_the_model_gives_in_this_process(client: openai.OpenAI, folder: Path) -> None:
    asked = {"messages": [OTHER], "temperature": 2.0, "top_p": 0.9, "seed": 11, "max_tokens": 20, "logprobs": True}
    first, again = create(client, **asked), create(client, **asked)
    assert first.choices == again.choices and first.id == again.id
    assert create(client, **asked | {"seed": 12}).choices != first.choices
    tokenizer = load_tokenizer(str(folder))
    sampling = Sampling(temperature=2.0, top_p=0.9, seed=11, max_tokens=20)
    drawn = await LocalModel.load(folder).generate(prompt_ids(tokenizer, [from_wire(OTHER)]), sampling)
    shown = [(one, logprob) for one, logprob in zip(drawn.ids, drawn.logprobs, strict=True) if one not in tokenizer.all_special_ids]
    assert [one.token for one in first.choices[0].logprobs.content] == [tokenizer.decode([one]) for one, _ in shown]
    assert [one.logprob for one in first.choices[0].logprobs.content] == pytest.approx([logprob for _, logprob in shown], abs=1e-4)


def test_choices_differ_and_without_a_seed_so_do_requests(client: openai.OpenAI) -> None:
    asked = {"messages": [OTHER], "temperature": 2, "max_tokens": 30}
    seeded = create(client, **asked, n=3, seed=5)
    assert len({choice.message.content for choice in seeded.choices}) == 3
    assert create(client, **asked, seed=5).choices[0] == seeded.choices[0]
    assert create(client, **asked).choices != create(client, **asked).choices


def test_errors_are_those_of_the_api(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist") as unknown:
        create(client, model="another")
    assert unknown.value.code == "model_not_found" and unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError) as wrong:
        create(client, top_p=3)
    assert wrong.value.param == "top_p"
    with pytest.raises(openai.BadRequestError) as long:
        create(client, messages=[{"role": "user", "content": "word " * 2000}])
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.AuthenticationError):
        create(client.with_options(api_key="wrong"))
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    assert post(url, b"{not json")[0] == 400
    status, kind, body = post(url, b" " * 1_100_000)
    assert status == 413 and kind == "application/json" and json.loads(body)["error"]["code"] == "request_too_large"


def test_health_and_models(client: openai.OpenAI, url: str, folder: Path) -> None:
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/health", timeout=60) as response:
        assert json.load(response) == {"status": "ok"}
    (model,) = client.models.list().data
    assert model.id == "parrot" and model.model_extra == {"fingerprint": fingerprint(folder), "max_model_len": 512}


async def test_our_client_asks_streams_and_tapes(url: str, folder: Path, tmp_path: Path) -> None:
    model = ours(url)
    mark = await model.fingerprint()
    assert mark == f"parrot@{fingerprint(folder)}"
    request = ChatRequest(messages=(SEARCH,), tools=(TOOL,), temperature=0.0, max_tokens=60, seed=1, scope="q/0/0")
    replies = []
    for asked, mode in ((model, TapeMode.RECORD), (Absent(), TapeMode.REPLAY)):
        tape = Tape(str(tmp_path), mode)
        tape.open()
        replies.append(await TapedChatModel(asked, tape, "test", mark).complete(request))
        tape.close()
    reply, replayed = replies
    assert replayed == reply
    *deltas, streamed = [piece async for piece in model.stream(request)]
    assert streamed == reply and reply.tool_calls[0].name == CALL.name and deltas
    await model.close()


def test_prometheus_finds_the_counts_on_rays_port(client: openai.OpenAI) -> None:
    import ray

    create(client)
    (node,) = ray.nodes()
    names = ("requests", "seconds_count", "open", "prompt_tokens", "completion_tokens")
    for _ in range(60):
        with urllib.request.urlopen(f"http://127.0.0.1:{node['MetricsExportPort']}/metrics", timeout=60) as response:
            told = response.read().decode()
        missing = [name for name in names if not re.search(rf'^ray_hopforge_serve_{name}(_total)?{{.*model="parrot"', told, re.MULTILINE)]
        if not missing:
            break
        time.sleep(0.5)
    assert not missing


class Listed(BaseModel):
    """As the list of models of `ray.serve.llm`, in what we use of it."""

    data: list[dict[str, str]]


class Plain:
    """An ingress as `ray.serve.llm` makes them: the routes of a FastAPI app on a class."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    async def models(self) -> Listed:
        return Listed(data=[{"id": name} for name in self.names])


def test_an_ingress_of_ray_serve_stands_behind_our_door_and_tells_the_fingerprint(url: str) -> None:
    from ray import serve as ray_serve

    app, ingress = FastAPI(), guarded(Plain)
    routed = ray_serve.ingress(app)(type("Routed", (ingress,), {"models": app.get("/v1/models")(ingress.models)}))
    config = ServeConfig(model="m", name="m", token_env=TOKEN)
    deployment = ray_serve.deployment(routed, ray_actor_options={"num_cpus": 0.1})
    ray_serve.run(deployment.bind(["m", "m:medical"], config=config, mark="fp_1"), name="gate", route_prefix="/gate")
    client = openai.OpenAI(base_url=url.replace("/v1", "/gate/v1"), api_key=os.environ[TOKEN], max_retries=0)
    assert [(one.id, one.model_extra) for one in client.models.list().data] == [
        ("m", {"fingerprint": "fp_1"}),
        ("m:medical", {"fingerprint": "fp_1:medical"}),
    ]
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


async def test_a_replica_that_is_killed_under_load_loses_no_request_that_is_tried_again(url: str) -> None:
    import ray

    model = ours(url)
    requests = [ChatRequest(messages=(OTHER,), temperature=2.0, max_tokens=200, seed=number) for number in range(48)]
    asked = [asyncio.create_task(model.complete(request)) for request in requests]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    (name,) = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True) if "#Endpoint#" in actor["name"]]
    ray.kill(ray.get_actor(name, namespace="serve"))
    replies: list[ChatReply] = await asyncio.gather(*asked)
    assert all(reply.completion_tokens for reply in replies)
    await model.close()
