"""A model behind the tape: asked once per question and scope, in this process and over HTTP."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import EndpointConfig
from engine.errors import TroubleError
from engine.limits.limiter import Unlimited
from engine.llm.client import HttpChatModel
from engine.llm.protocol import CallRequest, ChatReply, ChatRequest, Choice, TokenLogprob
from engine.llm.simulator import Simulator, serve_simulator
from engine.llm.taped import Absent, TapedChatModel, canonical_request
from engine.tape.seen import digests_seen
from engine.tape.survey import export
from engine.tape.tape import Tape, TapeMode

SEARCH = {"type": "function", "function": {"name": "search", "description": "", "parameters": {"type": "object", "properties": {}}}}
REQUEST = ChatRequest(messages=({"role": "user", "content": "Which gène?"},), tools=(SEARCH,), seed=7, scope="q-1/0/0")


class Counting:
    """A model in this process that never says the same twice."""

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.calls += 1
        call = CallRequest(id=f"call_{self.calls}", name="search", arguments='{"query": "é"}')
        return ChatReply(
            content=f"é {self.calls}", tool_calls=(call,), finish_reason="tool_calls", prompt_tokens=3, completion_tokens=4, reasoning="hm"
        )


class CountingHttp(HttpChatModel):
    """The real client; knows how often it was asked."""

    calls = 0

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.calls += 1
        return await super().complete(request)


def opened(folder: Path, mode: TapeMode = TapeMode.RECORD) -> Tape:
    tape = Tape(str(folder), mode)
    tape.open()
    return tape


async def test_equal_questions_of_one_scope_are_asked_once(tmp_path: Path) -> None:
    model, tape = Counting(), opened(tmp_path)
    taped = TapedChatModel(model, tape, "rollout", "m@1")
    first = await taped.complete(REQUEST)
    assert first == await taped.complete(REQUEST) and model.calls == 1
    assert first.tool_calls[0].arguments == '{"query": "é"}' and first.reasoning == "hm"
    others = [
        TapedChatModel(model, tape, "rollout", "m@2").complete(REQUEST),
        TapedChatModel(model, tape, "judge", "m@1").complete(REQUEST),
        taped.complete(ChatRequest(messages=REQUEST.messages, tools=REQUEST.tools, seed=7, scope="q-1/1/0")),
        taped.complete(ChatRequest(messages=REQUEST.messages, tools=REQUEST.tools, seed=8, scope="q-1/0/0")),
        taped.complete(ChatRequest(messages=REQUEST.messages, seed=7, scope="q-1/0/0")),
        taped.complete(ChatRequest(messages=REQUEST.messages, tools=REQUEST.tools, seed=7, scope="q-1/0/0", temperature=0.0)),
    ]
    assert [(await other).content for other in others] == [f"é {number}" for number in range(2, 8)]
    tape.close()
    (line, *_) = export(tmp_path)
    assert line["effect"] == {"kind": "model", "stage": "rollout", "fingerprint": "m@1", "scope": "q-1/0/0", "ordinal": 0}


TEXT = st.text(st.sampled_from('aé😀"\\\n\0\ud83d'), max_size=6)
"""With half a surrogate pair, which is no UTF-8."""
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
CHOICE = {
    "content": TEXT,
    "tool_calls": st.lists(st.builds(CallRequest, id=TEXT, name=TEXT, arguments=TEXT), max_size=2).map(tuple),
    "finish_reason": TEXT,
    "reasoning": TEXT,
    "refusal": TEXT,
    "logprobs": st.lists(
        st.builds(TokenLogprob, token=TEXT, logprob=NUMBER, top=st.lists(st.tuples(TEXT, NUMBER), max_size=2).map(tuple)), max_size=2
    ).map(tuple),
}
TOKENS = st.integers(0, 2**53)
REPLIES = st.builds(
    ChatReply, **CHOICE, prompt_tokens=TOKENS, completion_tokens=TOKENS, others=st.lists(st.builds(Choice, **CHOICE), max_size=2).map(tuple)
)


@settings(max_examples=50, deadline=None)
@given(reply=REPLIES)
def test_a_replay_gives_exactly_what_the_model_said(reply: ChatReply) -> None:
    """The first time a reply is handed on as it came, and not read back from the tape: the two must be the same."""

    class Saying:
        async def complete(self, request: ChatRequest) -> ChatReply:
            return reply

    async def given_by(folder: str, mode: TapeMode) -> tuple[ChatReply, list[str]]:
        tape = opened(Path(folder), mode)
        with digests_seen() as digests:
            told = await TapedChatModel(Saying(), tape, "rollout", "m").complete(REQUEST)
        tape.close()
        return told, digests

    with tempfile.TemporaryDirectory() as folder:
        first, again, untaped = (asyncio.run(given_by(folder, mode)) for mode in (TapeMode.RECORD, TapeMode.REPLAY, TapeMode.OFF))
    assert first == again == untaped and first[0] == reply and len(first[1]) == 1


def test_what_is_not_set_is_not_in_the_key() -> None:
    assert canonical_request(ChatRequest(messages=({"role": "user", "content": "x"},), scope="s")) == {
        "messages": ({"role": "user", "content": "x"},)
    }
    assert canonical_request(ChatRequest(messages=(), temperature=0.0, max_tokens=5)) == {
        "messages": (),
        "temperature": 0.0,
        "max_tokens": 5,
    }


async def test_over_http_the_simulator_is_asked_once_and_a_replay_needs_no_server(tmp_path: Path) -> None:
    async with serve_simulator(Simulator()) as url:
        model = CountingHttp(EndpointConfig(base_url=url, model="simulator"), Unlimited())
        for _ in range(2):  # the second run is a resume
            tape = opened(tmp_path)
            taped = TapedChatModel(model, tape, "rollout", "simulator")
            reply = await taped.complete(REQUEST)
            tape.close()
        await model.close()
        assert model.calls == 1 and reply.tool_calls[0].name == "search"
    replayed = TapedChatModel(Absent(), opened(tmp_path, TapeMode.REPLAY), "rollout", "simulator")
    assert await replayed.complete(REQUEST) == reply
    with pytest.raises(TroubleError, match="tape_miss"):
        await replayed.complete(ChatRequest(messages=REQUEST.messages))


async def test_neither_scope_nor_key_leaves_for_where_it_does_not_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPFORGE_TEST_KEY", "sk-very-secret")
    bodies: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.text())
        assert request.headers["Authorization"] == "Bearer sk-very-secret"
        return await simulator.complete(request)

    simulator, app = Simulator(), web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        endpoint = EndpointConfig(base_url=str(server.make_url("/v1")), model="m", api_key_env="HOPFORGE_TEST_KEY")
        tape = opened(tmp_path)
        model = HttpChatModel(endpoint, Unlimited())
        await TapedChatModel(model, tape, "rollout", "m").complete(REQUEST)
        await model.close()
        tape.close()
    (body,) = bodies
    assert "scope" not in json.loads(body) and "q-1/0/0" not in body
    assert all(b"sk-very-secret" not in file.read_bytes() for file in tmp_path.iterdir())
