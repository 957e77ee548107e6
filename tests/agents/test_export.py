"""The exports as their readers read them, and the dataset card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from agents.curate.card import CardFacts, FunnelStep, write_card
from agents.curate.export import write_exports
from agents.formats import from_wire
from agents.records import Message
from agents.tools.tool import wire_schema
from engine.storage import Storage
from tests.agents.worlds import call, conversation, row

FACTS = CardFacts(
    name="demo-set",
    graph_name="demo",
    graph_source="hand-written",
    graph_license="Apache-2.0",
    graph_snapshot="2026-11-01",
    graph_hash="abc123",
    policy="scripted",
    author="template",
    seed=0,
    worlds={"open": 2, "closed": 1},
    funnel=(FunnelStep(stage="rollout", attempts=5, rows=3, rejections=1, failures=1, causes={"timeout": 1, "no_certificate": 1}),),
)
ROWS = [
    row("r1"),
    row("r2", "q2", answer="$7", hops=3, paradigm="count", rollout=1),
    row("r3", "q1", rollout=1, messages=conversation("<answer>fbn1</answer>")),
]


def write(rows, folder, schemas):
    """Export into the run directory whose `export` folder is `folder`."""
    return write_exports(rows, Storage(str(folder.parent)), FACTS, schemas)


@pytest.fixture
def exported(tools, tmp_path):
    schemas = [wire_schema(tool) for tool in tools.values()]
    return tmp_path / "export", write(ROWS, tmp_path / "export", schemas), schemas


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_same_rows_give_the_same_bytes_in_any_order(exported, tmp_path_factory):
    folder, hashes, schemas = exported
    other = tmp_path_factory.mktemp("other") / "export"
    assert write([*ROWS[::-1], ROWS[0]], other, schemas) == hashes
    assert sorted(path.name for path in folder.iterdir()) == sorted(hashes) == sorted(path.name for path in other.iterdir())
    for name, digest in hashes.items():
        assert (folder / name).read_bytes() == (other / name).read_bytes()
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        assert str(folder).encode() not in (folder / name).read_bytes()


def test_another_row_gives_other_bytes(exported, tmp_path_factory):
    _, hashes, schemas = exported
    changed = write(ROWS[:2], tmp_path_factory.mktemp("other") / "export", schemas)
    assert all(changed[name] != hashes[name] for name in hashes if name != "verl_rl.parquet")


def test_sft_rows_are_openai_conversations(exported):
    first = lines(exported[0] / "sft.jsonl")[0]
    assert tuple(from_wire(message) for message in first["messages"]) == ROWS[0].messages
    assert [tool["function"]["name"] for tool in first["tools"]] == ["search", "visit"], "only the tools that were offered"
    assert json.loads(first["messages"][2]["tool_calls"][1]["function"]["arguments"]) == {"url": "u", "goal": "é"}
    assert first["metadata"] == {"id": "r1", "question_id": "q1", "trace_id": "s1", "paradigm": "chain", "hops": "2"}


def test_sharegpt_rows_alternate_as_llama_factory_wants(exported):
    for made in lines(exported[0] / "sharegpt.jsonl"):
        turns = made["conversations"]
        assert {turn["from"] for turn in turns[::2]} <= {"human", "observation"}
        assert {turn["from"] for turn in turns[1::2]} <= {"gpt", "function_call"}
        assert len(turns) % 2 == 0 and made["system"] == "You are careful." and len(json.loads(made["tools"])) == 2
    calls = turns[1]["value"]
    thought, _, parsed = calls.partition("</think>\n\n")
    assert thought == "<think>\nTwo looks.\n"
    assert json.loads(parsed) == [
        {"name": "search", "arguments": {"query": "x"}},
        {"name": "visit", "arguments": {"url": "u", "goal": "é"}},
    ]
    assert turns[2]["value"] == "first\n</tool_response>\n<tool_response>\nsecond"
    assert json.loads(turns[3]["value"].partition("</think>\n\n")[2]) == {"name": "search", "arguments": {"query": "x"}}


def test_arguments_that_are_no_json_stay_text(tools, tmp_path):
    messages = (Message(role="user", content="?"), Message(role="assistant", content="", tool_calls=(call("1", "search", "{oops"),)))
    write([row(messages=messages)], tmp_path / "export", [wire_schema(tools["search"])])
    turn = lines(tmp_path / "export" / "sharegpt.jsonl")[0]["conversations"][1]
    assert json.loads(turn["value"]) == {
        "name": "search",
        "arguments": "{oops",
    }


def test_verl_reads_the_sft_table(exported):
    """verl 0.9.1 reads with pandas and hands `messages` and `tools` to the chat template, nulls where a key does not apply."""
    made = pq.read_table(exported[0] / "verl_sft.parquet").to_pylist()
    assert [item["id"] for item in made] == ["r1", "r2", "r3"]
    messages = [{key: value for key, value in message.items() if value is not None} for message in made[0]["messages"]]
    assert tuple(from_wire(message) for message in messages) == ROWS[0].messages
    assert made[0]["messages"][0]["tool_calls"] is None
    search = made[0]["tools"][0]["function"]
    assert search["name"] == "search" and search["parameters"]["required"] == ["query"]
    assert search["parameters"]["properties"]["query"] == {"type": "string", "description": "Search words."}
    assert search["parameters"]["properties"]["url"] is None


def test_pandas_gives_the_sft_table_as_verl_needs_it(exported):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(exported[0] / "verl_sft.parquet", dtype_backend="pyarrow")
    assert isinstance(frame["messages"].tolist()[0][0], dict) and frame["tools"].tolist()[0][0]["type"] == "function"


def test_verl_reads_the_rl_table_one_row_per_question(exported):
    made = pq.read_table(exported[0] / "verl_rl.parquet").to_pylist()
    assert [item["extra_info"]["question_id"] for item in made] == ["q1", "q2"]
    first = made[0]
    assert [message["role"] for message in first["prompt"]] == ["system", "user"]
    assert first["reward_model"] == {"style": "rule", "ground_truth": "FBN1"}
    assert (first["data_source"], first["agent_name"], first["ability"]) == ("hopforge", "tool_agent", "multi-hop-qa")
    extra = first["extra_info"]
    assert (extra["index"], extra["split"], extra["answer_aliases"]) == (0, "train", ["fibrillin 1 gene"])
    assert extra["need_tools_kwargs"] and extra["tools_kwargs"]["visit"] == {"create_kwargs": {"question_id": "q1"}}
    assert extra["tool_selection"] == ["search", "visit"]


def test_no_row_gives_empty_but_readable_files(tools, tmp_path):
    folder = tmp_path / "export"
    write([], folder, [wire_schema(tool) for tool in tools.values()])
    assert pq.read_table(folder / "verl_rl.parquet").num_rows == pq.read_table(folder / "verl_sft.parquet").num_rows == 0
    assert (folder / "sft.jsonl").read_bytes() == b"" and "(no row)" in (folder / "README.md").read_text()


def test_a_file_is_replaced_whole(exported):
    folder, _, schemas = exported
    (folder / "sft.jsonl").write_text("old")
    write(ROWS, folder, schemas)
    assert len(lines(folder / "sft.jsonl")) == 3 and not list(folder.glob(".*"))


def test_the_card_has_a_header_that_hugging_face_reads(exported):
    _, head, body = (exported[0] / "README.md").read_text().split("---\n", 2)
    values = yaml.safe_load(head)
    assert (values["license"], values["size_categories"], values["language"]) == ("apache-2.0", ["n<1K"], ["en"])
    assert {config["data_files"] for config in values["configs"]} == {"sft.jsonl", "sharegpt.jsonl", "verl_sft.parquet", "verl_rl.parquet"}
    assert body.lstrip().startswith("# demo-set")


def test_the_card_counts_and_says_what_the_proof_does_not_cover():
    card = write_card(ROWS, FACTS)
    assert "| training rows | 3 |" in card and "| questions | 2 |" in card and "| different answers | 2 |" in card
    assert "| 2 | 2 | 67 % |" in card and "| count | 1 | 33 % |" in card
    assert "| open | 2 | 67 % |" in card and "What the proof does not cover" in card and "abc123" in card and "2026-11-01" in card
    assert "| rollout | 5 | 3 | 1 | 1 | no_certificate 1, timeout 1 |" in card
    assert "**user**\n\nWhich gene?" in card and '→ `search {"query": "x"}`' in card and "> first" in card
    assert "tokens per row, mean (estimated)" in card
    assert "counted by the tokenizer" in write_card(ROWS, dataclasses.replace(FACTS, tokens_exact=True))


@pytest.mark.parametrize(("licence", "header"), [("CC BY 4.0; CC0", "other"), ("", "unknown"), ("CC-BY-4.0", "cc-by-4.0")])
def test_a_licence_that_is_no_identifier_is_other(licence, header):
    card = write_card(ROWS, dataclasses.replace(FACTS, graph_license=licence))
    assert yaml.safe_load(card.split("---\n")[1])["license"] == header
