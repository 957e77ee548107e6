"""The HTTP side of the simulator, on aiohttp: routes, faults on the wire, server-sent events."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pydantic_core
from aiohttp import web

from engine.errors import ConfigError
from engine.llm.simulator.config import SimulatorConfig
from engine.llm.simulator.reply import Reply
from engine.llm.simulator.request import Asked, BadRequest, read_request
from engine.llm.simulator.traffic import Fault, Refusal, Traffic
from engine.records import derive_id

VERSION = 1
"""Raise it when the same request begins to get another reply: the fingerprint, and with it recorded tapes, change."""

MAX_BODY_BYTES = 64 * 1024**2
STOP_S = 0.5
"""Seconds that replies on their way get when the server stops."""


class Simulator:
    """One simulated endpoint: its settings, its load, its statistics."""

    def __init__(self, config: SimulatorConfig | None = None, token: str | None = None) -> None:
        """`token`: callers must send it as `Authorization: Bearer …`; None lets everybody in.

        Raises:
            ConfigError: the shares of faults add up to more than 1.
        """
        self.config = config or SimulatorConfig()
        self.token = token
        self.traffic = Traffic(self.config, time.monotonic())
        self.fingerprint = f"fp_sim_{derive_id(VERSION)[:12]}"

    def app(self) -> web.Application:
        """All routes, for aiohttp."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/health", self.health)
        app.router.add_get("/stats", self.stats)
        app.router.add_route("*", "/{path:.*}", self.unknown)
        return app

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        if not self._known(request):
            return _wrong_token()
        refusal = self.traffic.refuse(time.monotonic())
        if refusal:
            return self._refused(refusal)
        with self.traffic.serving():
            try:
                asked = read_request(await request.read())
                reply = Reply(asked, self.fingerprint)
            except BadRequest as error:
                self.traffic.bad_requests += 1
                return _error(400, error.message, "invalid_request_error", error.param)
            latency = self.traffic.latency(asked.key)
            if latency:
                await asyncio.sleep(latency)
            return await self._deliver(request, asked, reply, self.traffic.fault(asked.key, asked.stream))

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models."""
        if not self._known(request):
            return _wrong_token()
        model = {"id": "simulator", "object": "model", "created": 0, "owned_by": "hopforge", "fingerprint": self.fingerprint}
        return web.json_response({"object": "list", "data": [model]})

    async def health(self, request: web.Request) -> web.Response:
        """GET /health: open to everybody."""
        return web.json_response({"status": "ok"})

    async def stats(self, request: web.Request) -> web.Response:
        """GET /stats: see `Traffic.stats`."""
        return web.json_response(self.traffic.stats()) if self._known(request) else _wrong_token()

    async def unknown(self, request: web.Request) -> web.Response:
        """Any other address."""
        problem = f"Unknown request URL: {request.method} {request.path}. This simulator serves /v1/chat/completions and /v1/models."
        return _error(404, problem, "invalid_request_error")

    def _known(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")  # as the bytes came
        return self.token is None or hmac.compare_digest(given, f"Bearer {self.token}".encode())

    def _refused(self, refusal: Refusal) -> web.Response:
        """Exact milliseconds for clients that read them, whole seconds for those that do not."""
        headers = {"retry-after-ms": str(math.ceil(refusal.retry_after * 1000)), "Retry-After": str(math.ceil(refusal.retry_after))}
        message = f"Rate limit reached ({refusal.reason}). Try again in {refusal.retry_after:.3f} s."
        response = _error(429, message, "rate_limit_error", code="rate_limit_exceeded")
        response.headers.update(headers | self.traffic.headers(time.monotonic()))
        return response

    async def _deliver(self, request: web.Request, asked: Asked, reply: Reply, fault: Fault | None) -> web.StreamResponse:
        if fault is Fault.SERVER_ERROR:
            return _error(500, "The server had an error while processing your request.", "server_error")
        if fault is Fault.UNAVAILABLE:
            return _error(503, "The server is overloaded or not ready yet.", "service_unavailable")
        if fault is Fault.HANGING:
            await asyncio.Event().wait()  # ends when the caller hangs up or the server stops
        if fault is Fault.DROPPED:
            return _drop(request)
        headers = self.traffic.headers(time.monotonic())
        if asked.stream:
            return await self._stream(request, reply, fault, headers)
        body = pydantic_core.to_json(reply.completion())
        if fault is Fault.MALFORMED:
            body = body[: len(body) // 2]
        if fault is Fault.TRUNCATED:
            return await _send_half(request, body)
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _stream(self, request: web.Request, reply: Reply, fault: Fault | None, headers: dict[str, str]) -> web.StreamResponse:
        """Server-sent events; all at once unless the stream is a slow one."""
        events = [_event(pydantic_core.to_json(chunk)) for chunk in reply.chunks()] + [_event(b"[DONE]")]
        if fault is Fault.MALFORMED:
            events[len(events) // 2] = _event(b'{"id": "chatcmpl-')
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"} | headers)
        await response.prepare(request)
        if fault is Fault.SLOW_STREAM:
            for event in events:
                await asyncio.sleep(self.config.slow_stream_pause)
                await response.write(event)
            return response
        if fault is Fault.TRUNCATED:
            await response.write(b"".join(events[: len(events) // 2]))
            return _drop(request, response)
        await response.write(b"".join(events))
        return response


@asynccontextmanager
async def serve_simulator(simulator: Simulator, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve inside the block; yields the base_url. Port 0 takes a free one.

    Raises:
        ConfigError: the host can be reached from other machines and there is no token.
        OSError: the port is taken.
    """
    if not _is_loopback(host) and simulator.token is None:
        raise ConfigError("host", f"{host} can be reached from other machines", "set a token, or leave out host to serve this machine only")
    # Cancelling handlers of callers who hung up frees their place in `capacity`, as a real server does.
    runner = web.AppRunner(simulator.app(), access_log=None, handler_cancellation=True, shutdown_timeout=STOP_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        yield f"http://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _error(status: int, message: str, kind: str, param: str | None = None, code: str | None = None) -> web.Response:
    """The API's error body."""
    body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return web.json_response(body, status=status)


def _wrong_token() -> web.Response:
    return _error(401, "Incorrect API key provided.", "invalid_request_error", code="invalid_api_key")


def _drop(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """Close the connection under the reply; what was written before is still sent."""
    if request.transport is not None:
        request.transport.close()
    return response or web.Response()


async def _send_half(request: web.Request, body: bytes) -> web.StreamResponse:
    """Announce the whole body, send half of it."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    return _drop(request, response)


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
