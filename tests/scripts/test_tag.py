"""A model tags questions over HTTP: paid once, taken at its word only for tags it was given, kept beside the rows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.ledger import parquet_bytes
from engine.records import to_table
from engine.storage import Storage
from samplers.records import Question
from scripts import tag
from serve.evals.benchmarks.benchmark import question
from serve.runs.opened import OpenRun

ASKED = ("Which gene can cause progeria?", "What inhibits BCR-ABL1?", "Which word is made up?")


class Sorter(BaseHTTPRequestHandler):
    """Genes are genetics, drugs are oncology, and a third question gets a tag that nobody gave it."""

    def do_GET(self) -> None:
        self._say({"data": [{"id": "sorter"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"][-1]["content"]
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        tags = ["topic:genetics"] if "gene" in asked else ["topic:oncology"] if "BCR" in asked else ["topic:other"]
        message = {"role": "assistant", "content": json.dumps({"tags": tags})}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        self._say({"id": "x", "object": "chat.completion", "created": 0, "model": "sorter", "choices": [choice], "usage": usage})

    def _say(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


@contextmanager
def sorter() -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sorter)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_model_tags_and_is_asked_once(ray_local: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = sorted((question("x", text, "an answer", key=str(place)) for place, text in enumerate(ASKED)), key=lambda row: row.id)
    storage = Storage(str(tmp_path / "run"))
    storage.write("config.yaml", b"run: {name: run}\n")
    storage.write("questions/part-00000.parquet", parquet_bytes(to_table(rows, Question)))
    with sorter() as (url, asked):
        command = [f"input={tmp_path / 'run'}", "tags=topic:genetics, topic:oncology", f"run.dir={tmp_path / 'work'}"]
        command += ["llm=local", f"llm.default.base_url={url}", "llm.default.model=sorter", "pipeline.object_store_mb=100"]
        assert tag.main(command) == 0
        assert "2 of 3 questions tagged, 1 rejected, 0 failed\ntopic:genetics: 1 questions" in capsys.readouterr().out
        number = len(asked)
        assert tag.main(command) == 0 and len(asked) == number
    told = {line["question"]: line["tags"] for line in OpenRun("run", tmp_path / "run").told().to_pylist()}
    assert "topic:genetics" in told[ASKED[0]] and "topic:oncology" in told[ASKED[1]]
    assert not any(each.startswith("topic:") for each in told[ASKED[2]])
    rules = (tmp_path / "run/tags/rules.jsonl").read_text().splitlines()
    assert len(rules) == 2 and {json.loads(rule)["by"] for rule in rules} == {"sorter"}


def test_what_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    for words, problem in (
        (["tags=a,split:test"], "a word of the project's own"),
        (["tags= , "], "names no tag"),
        (["tags=a"], "holds no questions"),
    ):
        assert tag.main([f"input={tmp_path}", *words]) == 2
        assert problem in capsys.readouterr().err
