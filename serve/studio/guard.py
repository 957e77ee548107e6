"""Who may look: a plain ASGI door in front of every page, file, upload and socket of the studio.

Without a token only browsers on this machine are let in, and only under a loopback name, so that a page elsewhere cannot reach the
studio by giving its own name this machine's address (DNS rebinding). Requests that change something, and sockets, must come from a
page of the studio itself.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import ConfigError
from serve.guard import MEBIBYTE, Refused, is_loopback
from serve.studio.config import StudioConfig

COOKIE = "hopforge_studio"
ENTRANCE = "/enter"
READING = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    # NiceGUI compiles its templates in the browser, hence 'unsafe-eval'; nothing is loaded from, or sent to, another host.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
FORM = """<!doctype html><meta charset="utf-8"><title>HopForge Studio</title>
<body style="font:16px system-ui;margin:20vh auto;max-width:24rem"><h1>HopForge Studio</h1><p>{told}</p>
<form method="post" action="/enter"><label>Token <input name="token" type="password" autofocus></label> <button>Enter</button></form>"""


@dataclass(frozen=True)
class StudioDoor:
    """Who may come in, and with how much."""

    token: str | None = field(repr=False)
    max_bytes: int

    @classmethod
    def of(cls, config: StudioConfig) -> StudioDoor:
        """The token is read from the environment, here and nowhere else.

        Raises:
            ConfigError: the named variable is not set, or others can reach the address and there is no token.
        """
        token = os.environ.get(config.token_env) if config.token_env else None
        if config.token_env and not token:
            raise ConfigError("token_env", f"{config.token_env} is not set", f"export {config.token_env}=… before the start")
        if not token and not is_loopback(config.host):
            remedy = "set token_env to the name of a variable that holds a token, or leave out host"
            raise ConfigError("host", f"{config.host} can be reached from other machines", remedy)
        return cls(token, config.max_upload_mb * MEBIBYTE)

    @property
    def stamp(self) -> str:
        """What the cookie holds: not the token, and the same after a restart."""
        return hmac.new((self.token or "").encode(), b"hopforge studio", "sha256").hexdigest()

    def knows(self, token: str) -> bool:
        """Whether it is the token."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def check(self, scope: Scope) -> None:
        """From its head alone.

        Raises:
            Refused: the request may not come in.
        """
        headers = Headers(scope=scope)
        if self.token is None:
            caller = scope.get("client")
            if not caller or not is_loopback(caller[0]):
                raise Refused(403, "This studio has no token: it answers browsers on its own machine only.")
            if not is_loopback(urlsplit(f"//{headers.get('host', '')}").hostname or ""):
                raise Refused(403, "This studio answers as localhost or 127.0.0.1 only.")
        elif not hmac.compare_digest(_cookie(scope).encode(), self.stamp.encode()):
            raise Refused(401, "This studio asks for its token.")
        changes = scope["type"] == "websocket" or scope.get("method") not in READING
        if changes and urlsplit(headers.get("origin", "")).netloc != headers.get("host"):
            raise Refused(403, "This request comes from a page that is not the studio's.")
        if not headers.get("content-length", "0").isdigit():
            raise Refused(400, "The content length is no number.")
        if int(headers.get("content-length", "0")) > self.max_bytes:
            raise self.too_large()

    def too_large(self) -> Refused:
        """Of a body that does not end."""
        return Refused(413, f"The upload is larger than {self.max_bytes // MEBIBYTE} MiB (max_upload_mb).")


class StudioGuard:
    """An ASGI app behind the door."""

    def __init__(self, app: ASGIApp, door: StudioDoor) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            if scope["type"] == "http" and (entered := await self._enter(scope, receive)):
                await entered(scope, receive, send)
                return
            self._door.check(scope)
        except Refused as refused:
            await self._refuse(refused, scope, receive, send)
            return
        await self._app(scope, self._counted(receive), _with_headers(send))

    async def _enter(self, scope: Scope, receive: Receive) -> Response | None:
        """The answer to one who shows the token, at the entrance or in the address printed at the start."""
        if self._door.token is None:
            return None
        if scope["path"] == ENTRANCE and scope["method"] == "POST":
            shown = (await Request(scope, self._counted(receive)).body()).decode("latin-1")
            where = "/"
        else:
            shown = scope["query_string"].decode("latin-1")
            rest = urlencode({name: values for name, values in parse_qs(shown).items() if name != "token"}, doseq=True)
            where = scope["path"] + (f"?{rest}" if rest else "")
        given = parse_qs(shown).get("token")
        if given is None:
            return None
        if not self._door.knows(given[0]):
            raise Refused(401, "That is not this studio's token.")
        answer = RedirectResponse(where, 303)
        answer.set_cookie(COOKIE, self._door.stamp, httponly=True, samesite="strict", secure=scope.get("scheme") == "https")
        return answer

    async def _refuse(self, refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refused.message})
            return
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        if refused.status == 401 and wants_page:
            await HTMLResponse(FORM.format(told=refused.message), 401)(scope, receive, _with_headers(send))
            return
        await PlainTextResponse(refused.message + "\n", refused.status)(scope, receive, _with_headers(send))

    def _counted(self, receive: Receive) -> Receive:
        """A body that goes on beyond the limit ends as if the sender had hung up: a length may be left out, or false."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b"")) if message["type"] == "http.request" else 0
            return message if size <= self._door.max_bytes else {"type": "http.disconnect"}

        return counted


def _cookie(scope: Scope) -> str:
    return Request({**scope, "type": "http"}).cookies.get(COOKIE, "")


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sender
