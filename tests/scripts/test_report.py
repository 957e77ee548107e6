"""The page about a run: says what the manifest says, needs nothing but a browser, and obeys no markup from the data."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.llm.simulator import SimulatorConfig
from samplers.graph.loader import DEMO
from scripts.report import charts
from scripts.report.__main__ import main
from scripts.report.markup import Html, join, table, tag
from serve.runs import timeline
from tests.scripts.runs import run
from tests.scripts.test_synthesize import simulator

SCRIPT = "<script>alert('&')</script>"
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """A page, parsed strictly: every element is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.parts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data", "poster")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.parts.append(data)


@pytest.fixture(scope="module")
def folder(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen seeds, played by a model that errs and sometimes fails, on a graph whose diseases have markup for names."""
    base = tmp_path_factory.mktemp("report")
    shutil.copytree(DEMO, base / "graph")
    nodes = (base / "graph" / "nodes.tsv").read_text().splitlines()
    cells = [line.split("\t") for line in nodes]
    marked = ["\t".join([row[0], row[1] + SCRIPT * (row[2] == "Disease"), *row[2:]]) for row in cells]
    (base / "graph" / "nodes.tsv").write_text("\n".join(marked) + "\n")
    prices = ["llm.default.usd_per_1m_input=3", "llm.default.usd_per_1m_output=15"]
    with simulator(SimulatorConfig(server_errors=0.03, latency=0.02)) as (url, _):
        overrides = ["policy=llm", "llm=local", f"llm.default.base_url={url}", "policy.rollouts=2", "policy.max_turns=4", *prices]
        run(base / "run", "graph=path", f"graph.path={base / 'graph'}", "run.max_seeds=15", "limits.qps=100", *overrides)
    return base / "run"


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    """The report of that run."""
    assert main([f"run.dir={folder}"]) == 0
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_numbers_are_those_of_the_manifest(folder: Path, page: Page) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    steps = manifest["counts"]["steps"]
    assert f"{manifest['counts']['seeds']} seeds {steps['select']['rows']} questions {steps['rollout']['rows']} trajectories" in page.text
    assert f"{steps['deduplicate']['rows']} training rows" in page.text
    for name, step in steps.items():
        assert f"{name} {step['attempts']} → {step['rows']} " in page.text
        for cause, count in step["causes"].items():
            assert f"{cause} {count} " in page.text and f"{name}-{cause}" in page.ids
    assert steps["curate"]["causes"]
    places = [page.text.index(f" {name} {steps[name]['attempts']} → ") for name in ("sample", "question", "select", "rollout", "curate")]
    assert places == sorted(places), "the steps stand in the order of the run"


def test_model_calls_and_cost_are_those_that_were_paid(folder: Path, page: Page) -> None:
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    (site,) = last["calls"]
    rows = pq.read_table(folder / "trajectories").to_pylist()
    assert site["replies"] == site["answered"] == sum(row["usage"]["model_calls"] for row in rows) and site["replayed"] == 0
    assert site["prompt_tokens"] == sum(row["usage"]["prompt_tokens"] for row in rows)
    assert site["calls"] == site["replies"] + sum(site["failures"].values()) and set(site["failures"]) <= {"model_server_error"}
    assert (site["in_flight"], site["waiting"]) == (0, 0) and sum(site["latency"].values()) == site["replies"]
    cost = json.loads((folder / "manifest.json").read_text())["cost_usd"]
    assert cost == pytest.approx((3 * site["prompt_tokens"] + 15 * site["completion_tokens"]) / 1e6) == pytest.approx(site["usd"])
    assert f"agent / rollout / default {site['calls']} 0 0 " in page.text and f"${cost:.4f} cost" in page.text


def test_no_markup_from_the_data_is_obeyed(folder: Path, page: Page) -> None:
    texts = [row["text"] for row in pq.read_table(folder / "questions", columns=["text"]).to_pylist()]
    assert any(SCRIPT in text for text in texts), "the graph's names must reach the questions for this test to mean anything"
    assert SCRIPT in page.text and "<script" not in (folder / "report.html").read_text()
    assert page.tags["script"] == page.tags["iframe"] == page.tags["link"] == 0


def test_the_page_needs_no_network(folder: Path, page: Page) -> None:
    exported = [link for link in page.links if not link.startswith("#")]
    assert exported and all(not re.match(r"[a-z+]*:|//|/", link) and (folder / link).is_file() for link in exported)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    text = (folder / "report.html").read_text()
    assert "url(" not in text and "@import" not in text and "http" not in re.sub(r"[^ ]*alert[^ ]*", "", text)
    assert "prefers-color-scheme: dark" in text and "@media print" in text and 'name="viewport"' in text


def test_examples_are_given_for_every_cause(page: Page) -> None:
    assert re.search(r"wrong_answer \d+ in curate, rejected for good [0-9a-f]{8} answered '", page.text)
    assert page.tags["svg"] >= 6 and "Latency of model calls, seconds" in page.text and "Most difficult" in page.text


def test_a_run_broken_off_is_told_as_far_as_it_came(folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "manifest.json").unlink()
    shutil.rmtree(broken / "trajectories")
    with (broken / "metrics.jsonl").open("a") as file:
        file.write('{"elapsed_s": 3.0, "sta')
    assert main([f"run.dir={broken}", f"out={tmp_path / 'other.html'}"]) == 0
    page = Page((tmp_path / "other.html").read_text())
    assert "has not finished" in page.text and "sample 15 → 15 subgraphs" in page.text and "not known cost" in page.text


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"run.dir={tmp_path}"]) == 2
    assert f"{tmp_path}: is no run directory" in capsys.readouterr().err


@given(st.text(), st.text())
def test_whatever_is_not_markup_is_escaped(inside: str, value: str) -> None:
    class Read(HTMLParser):
        found: tuple[str, dict[str, str | None]]
        texts = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found = tag, dict(attrs)

        def handle_data(self, data: str) -> None:
            self.texts += data

    reader = Read()
    reader.feed(tag("p", inside, title=value))
    reader.close()
    assert reader.found == ("p", {"title": value}) and reader.texts == inside
    assert tag("p", Html("<b>x</b>"), class_="a", aria_label="b") == '<p class="a" aria-label="b"><b>x</b></p>'
    assert "&lt;i&gt;" in table(["<i>"], [["<i>"]]) and join(["<", Html("<br>")]) == "&lt;<br>"


@given(st.lists(st.integers(0, 10**6), max_size=60))
def test_every_value_is_in_one_bin(values: list[int]) -> None:
    bins = charts.binned(values)
    assert sum(count for _, count in bins) == len(values) and len(bins) <= charts.BINS + 1


@given(st.floats(1e-6, 1e9), st.integers(2, 8))
def test_ticks_are_round_and_cover_the_range(most: float, count: int) -> None:
    marks = charts.ticks(most, count)
    assert marks[0] == 0 and marks[-1] >= most * (1 - 1e-6) and len(marks) <= count + 2
    assert marks[-2] < most


def line(elapsed: float, rows: int, calls: int = 0, stage: str = "a") -> dict[str, object]:
    """One line of metrics.jsonl."""
    site = {"role": "agent", "stage": stage, "model": "m", "calls": calls, "replayed": 1, "prompt_tokens": 2, "completion_tokens": 3}
    site |= {"usd": 0.5, "in_flight": 4, "waiting": 0, "failures": {"model_overloaded": 1}, "latency": {"20": calls}}
    stages = {stage: {"inputs": rows, "rows": rows, "rejections": {}, "failures": {"timeout": rows}}}
    return {"elapsed_s": elapsed, "time": 0.0, "stages": stages, "calls": [site] if calls else []}


def test_legs_follow_one_another_on_the_clock_of_working_time() -> None:
    lines = [line(1, 10), line(3, 30), line(4, 40, stage="b"), line(2, 5, 8, stage="b"), line(6, 25, 40, stage="b")]
    legs = timeline.read_legs("\n".join(map(json.dumps, lines)).encode() + b'\n{"torn')
    assert [(leg.begun, leg.seconds) for leg in legs] == [(0, 3), (3, 4), (7, 6)]
    throughput = {curve.name: curve.points for curve in timeline.throughput(legs)}
    assert throughput["a"] == [(1, 20.0), (3, 20.0), (3, None)]
    assert throughput["b"] == [(7, 20.0), (7, None), (9, 5.0), (13, 10.0), (13, None)]
    assert [y for _, y in timeline.call_rates(legs)[0].points] == [4.0, 8.0, None]
    assert timeline.spending(legs).points == [(9, 0.5), (13, 0.5)]
    total = timeline.call_totals(legs)["agent", "b", "m"]
    assert (total["calls"], total["failures"]["model_overloaded"], total["latency"][20]) == (40, 1, 40)
    assert [curve.name for curve in timeline.latencies(legs)] == ["p50", "p90", "p99"]
    assert timeline.read_legs(b"") == []
