"""An OpenAI-compatible server without a model: rehearse a run before you pay for it.

Its reply depends on the request alone, the derived seed included, so a rehearsal can be repeated byte for byte.
It plays an agent that searches for the question's words, visits the first hit and answers with that page's title:
the protocol is real, the skill is not, and most of its answers are wrong.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from engine.records import canonical_json, derive_id

_URL = re.compile(r"\b(?:hopforge|https?)://[^\s\"'<>)\]]+")


class Simulator:
    """The request handler. `latency_s` is how long every reply takes."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.latency_s = latency_s
        self.calls = 0

    async def complete(self, request: web.Request) -> web.Response:
        """POST /v1/chat/completions."""
        try:
            body = await request.json()
            messages = body["messages"]
        except (json.JSONDecodeError, KeyError, TypeError):
            return web.json_response({"error": {"message": "body must be JSON with messages", "type": "invalid_request_error"}}, status=400)
        self.calls += 1
        await asyncio.sleep(self.latency_s)
        message = act(messages, body.get("tools") or [])
        usage = {"prompt_tokens": len(canonical_json(messages)) // 4, "completion_tokens": len(canonical_json(message)) // 4}
        return web.json_response(
            {
                "id": f"chatcmpl-{derive_id(canonical_json(body))}",
                "object": "chat.completion",
                "created": 0,
                "model": body.get("model", "simulator"),
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if message.get("tool_calls") else "stop"}],
                "usage": usage | {"total_tokens": sum(usage.values())},
            }
        )

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models."""
        return web.json_response({"object": "list", "data": [{"id": "simulator", "object": "model", "created": 0, "owned_by": "hopforge"}]})


def act(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> dict[str, Any]:
    """The next assistant message: search, then visit the first hit, then answer with what was found."""
    offered = {tool["function"]["name"] for tool in tools}
    question = next((message["content"] for message in messages if message["role"] == "user"), "")
    results = [message["content"] for message in messages if message["role"] == "tool"]
    if "search" in offered and not results:
        return _call("I will search for what the question describes.", "search", {"query": question}, messages)
    urls = _URL.findall(results[0]) if results else []
    if "visit" in offered and len(results) == 1 and urls:
        return _call("The first page may say more.", "visit", {"url": urls[0], "goal": question}, messages)
    lines = [line.strip("# ").strip() for result in reversed(results) for line in result.splitlines() if line.strip()]
    return {"role": "assistant", "content": f"From what I read I answer.\n<answer>{lines[0] if lines else 'unknown'}</answer>"}


def _call(thought: str, name: str, arguments: dict[str, str], messages: list[dict[str, Any]]) -> dict[str, Any]:
    call_id = f"call_{derive_id(canonical_json(messages))[:12]}"
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"role": "assistant", "content": thought, "tool_calls": [{"id": call_id, "type": "function", "function": function}]}


@asynccontextmanager
async def serve_simulator(simulator: Simulator, port: int = 0) -> AsyncIterator[str]:
    """Serve on loopback inside the block; yields the base_url. Port 0 takes a free one."""
    app = web.Application(client_max_size=16 * 1024**2)
    app.router.add_post("/v1/chat/completions", simulator.complete)
    app.router.add_get("/v1/models", simulator.models)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        assert runner.addresses
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()
