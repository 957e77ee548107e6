"""An evaluation against endpoints that refuse it, hang, or talk nonsense: a clear error or typed failures, and nothing lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from engine.errors import UserError
from engine.ledger import Ledger
from engine.llm.simulator import SimulatorConfig
from engine.storage import Storage
from tests.scripts.test_evaluate import asked, run
from tests.scripts.test_synthesize import simulator

pytestmark = pytest.mark.usefixtures("ray_local")

QUESTIONS = 8


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Plain questions about what the bundled graph knows."""
    names = ("metformin", "imatinib", "warfarin", "insulin", "aspirin", "lisinopril", "digoxin", "heparin")
    rows = [{"question": f"What is {name} used for?", "answer": f"use of {name}"} for name in names]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "qa.jsonl"


@contextmanager
def answering(body: str, status: int = 200) -> Iterator[str]:
    """A server that says the same to everything; its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[web.AppRunner, str]:
        async def say(_: web.Request) -> web.Response:
            return web.Response(text=body, status=status, content_type="text/html")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", say)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

    runner, url = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_an_endpoint_that_refuses_us_ends_the_run_with_what_to_do(dataset: Path, tmp_path: Path) -> None:
    with answering("who are you?", 401) as url, pytest.raises(UserError, match="→"):
        run(tmp_path / "run", *asked(dataset, url))
    assert not (tmp_path / "run" / "score.json").exists()


def test_a_server_that_talks_nonsense_gives_failures_and_no_score(dataset: Path, tmp_path: Path) -> None:
    with answering("<html>Bad gateway</html>") as url:
        score = run(tmp_path / "run", *asked(dataset, url))
    assert (score["complete"], score["failed"], score["attempts"], score["accuracy"]) == (False, 2 * QUESTIONS, 0, {})
    index = Ledger(Storage(str(tmp_path / "run"))).index()
    assert {row.cause for row in index.failures("rollout", index.entries("rollout"))} == {"model_malformed_reply"}
    assert "there is no score" in (tmp_path / "run" / "score.md").read_text()


def test_calls_that_hang_or_come_back_as_nonsense_are_failures_and_the_next_run_has_the_whole_score(dataset: Path, tmp_path: Path) -> None:
    whole, folder, hasty = tmp_path / "whole", tmp_path / "run", "llm.default.timeout_s=0.5"
    with simulator() as (url, _):
        score = run(whole, *asked(dataset, url))
    assert score["complete"] and score["attempts"] == 2 * QUESTIONS
    with simulator(SimulatorConfig(hanging=0.1, malformed=0.1, truncated=0.1)) as (url, _):
        part = run(folder, *asked(dataset, url), hasty)
    index = Ledger(Storage(str(folder))).index()
    failures = index.failures("rollout", index.entries("rollout"))
    causes = Counter(row.cause for row in failures)
    assert not part["complete"] and part["failed"] == len(failures) == 2 * QUESTIONS - part["attempts"] > 0
    assert causes["model_timeout"] > 0 and set(causes) <= {"model_timeout", "model_malformed_reply", "model_unreachable"}
    assert all(row.detail for row in failures) and part["rates"]["failed"] == pytest.approx(len(failures) / (2 * QUESTIONS))
    with simulator() as (url, _):
        run(folder, *asked(dataset, url))
    assert (folder / "score.json").read_bytes() == (whole / "score.json").read_bytes()
