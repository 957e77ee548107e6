"""The door of the studio: who is refused, with a clear message, and how one who holds the token comes in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from engine.errors import ConfigError, InputError
from scripts import looking
from serve.studio.config import StudioConfig
from serve.studio.guard import StudioDoor
from serve.studio.workspace import RunKind, Workspace

TOKEN = "s3cret & long"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a studio that asks for a token."""
    runs = tmp_path_factory.mktemp("guarded")
    with looking.studio(f"runs={runs}", "token_env=STUDIO_TEST_TOKEN", "max_upload_mb=1", env={"STUDIO_TEST_TOKEN": TOKEN}) as url:
        yield url


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a studio that asks for none."""
    with looking.studio(f"runs={tmp_path_factory.mktemp('open')}") as url:
        yield url


async def ask(url: str, method: str = "GET", **request: object) -> tuple[int, str]:
    """Status and text, redirects not followed."""
    async with aiohttp.ClientSession() as session, session.request(method, url, allow_redirects=False, **request) as reply:  # type: ignore[arg-type]
        return reply.status, await reply.text()


async def test_a_page_under_another_name_cannot_reach_a_studio_without_a_token(studio: str) -> None:
    status, text = await ask(studio, headers={"Host": "evil.example"})
    assert (status, text) == (403, "This studio answers as localhost or 127.0.0.1 only.\n")
    assert (await ask(studio))[0] == 200


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_change_must_come_from_a_page_of_the_studio(studio: str, origin: str | None) -> None:
    status, text = await ask(f"{studio}/_nicegui/x", "POST", headers={"Origin": origin} if origin else {}, data=b"x")
    assert status == 403
    assert "not the studio's" in text


async def test_a_socket_must_come_from_a_page_of_the_studio(studio: str) -> None:
    path = f"{studio}/_nicegui_ws/socket.io/?EIO=4&transport=websocket".replace("http", "ws", 1)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(path, headers={"Origin": "https://evil.example"})
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(path)
        async with session.ws_connect(path, headers={"Origin": studio}) as opened:
            assert (await opened.receive_str()).startswith("0{")


async def test_without_the_token_nothing_is_told_and_with_it_a_cookie_opens(guarded: str) -> None:
    for path in ("/", "/explore", "/data?run=../..", "/_nicegui/3/static/x.js", "/openapi.json"):
        status, text = await ask(guarded + path)
        assert (status, text) == (401, "This studio asks for its token.\n")
    assert (await ask(guarded, params={"token": TOKEN[:-1]}))[0] == 401
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(guarded, params={"token": TOKEN, "seed": "x"}, allow_redirects=False) as entered:
            assert entered.status == 303
            assert entered.headers["Location"] == "/?seed=x"
            cookie = entered.headers["Set-Cookie"]
            assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
        async with session.get(f"{guarded}/read") as inside:
            assert inside.status == 200
            assert "default-src 'self'" in inside.headers["Content-Security-Policy"]


async def test_a_body_beyond_the_limit_is_refused_whatever_length_it_claims(guarded: str) -> None:
    stamp = StudioDoor(TOKEN, 1).stamp
    headers = {"Cookie": f"hopforge_studio={stamp}", "Origin": guarded}
    status, text = await ask(f"{guarded}/explore", "POST", headers=headers, data=b"x" * (2 << 20))
    assert (status, text) == (413, "The upload is larger than 1 MiB (max_upload_mb).\n")

    async def endless() -> object:
        for _ in range(64):
            yield b"x" * (1 << 16)
            await asyncio.sleep(0)

    try:  # the body goes to the entrance, which reads it whole
        status, _ = await ask(f"{guarded}/enter", "POST", headers={"Origin": guarded}, data=endless())
        assert status >= 400
    except aiohttp.ClientError:
        pass  # cut off in the middle
    assert (await ask(guarded))[0] == 401  # and the studio still answers


def test_a_host_for_others_needs_a_token_and_the_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        StudioDoor.of(StudioConfig(host="0.0.0.0"))
    with pytest.raises(ConfigError, match="STUDIO_TOKEN is not set"):
        StudioDoor.of(StudioConfig(host="0.0.0.0", token_env="STUDIO_TOKEN"))
    monkeypatch.setenv("STUDIO_TOKEN", TOKEN)
    assert TOKEN not in repr(StudioDoor.of(StudioConfig(host="0.0.0.0", token_env="STUDIO_TOKEN")))


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/etc", "a/b/c", "", ".hidden", "a\\..\\b", "a\0b", "a" * 101, "link"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    outside, runs = tmp_path / "outside", tmp_path / "runs"
    for folder in (outside, runs):
        folder.mkdir()
        (folder / "config.yaml").write_text("{}")
    (runs / "link").symlink_to(outside)
    workspace = Workspace(str(runs))
    with pytest.raises(InputError):
        workspace.open(name)
    assert workspace.runs() == []


def test_runs_are_known_by_what_they_hold(tmp_path: Path) -> None:
    for name, holds in (("a", "candidates"), ("tour", "steps.json"), ("tour/rows", "export"), ("eval", "score.json"), ("empty", "x")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("{}")
        (folder / holds).mkdir()
    kinds = {run.name: run.kind for run in Workspace(str(tmp_path)).runs()}
    assert kinds == {
        "a": RunKind.SYNTHESIS,
        "tour": RunKind.TOUR,
        "tour/rows": RunKind.SYNTHESIS,
        "eval": RunKind.EVALUATION,
        "empty": RunKind.OTHER,
    }


def test_an_upload_keeps_its_content_and_nothing_else_of_its_name(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    kept = [workspace.keep_upload(name, b"a,b") for name in ("../../x.csv", "seeds.CSV", "x.c/sv", "no ending")]
    assert {path.parent for path in kept} == {tmp_path / ".studio" / "uploads"}
    assert [path.suffix for path in kept] == [".csv", ".csv", "", ""]


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        import subprocess
        import sys

        command = [sys.executable, "-m", "scripts.studio", f"port={taken.getsockname()[1]}", f"runs={tmp_path}"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "address already in use" in ended.stderr.lower()
    assert "Traceback" not in ended.stderr
