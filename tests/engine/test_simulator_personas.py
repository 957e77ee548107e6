"""What the simulator says: agent, judge, rewriter, and values that fit a JSON schema."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.llm.simulator.agent import read_hits
from engine.llm.simulator.instance import Filler
from engine.llm.simulator.judge import agree, judge
from engine.llm.simulator.reply import Reply
from engine.llm.simulator.request import BadRequest, read_request
from engine.llm.simulator.rewriter import other_words

QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
PAGE = {"type": "object", "properties": {"url": {"type": "string"}, "goal": {"type": "string"}}, "required": ["url", "goal"]}
TOOLS = [
    {"type": "function", "function": {"name": "search", "parameters": QUERY}},
    {"type": "function", "function": {"name": "visit", "parameters": PAGE}},
]
QUESTION = "Which enzyme is inhibited by statins and made in the liver?"
HITS = (
    "1. Statin\n   url: https://a.example/statin\n   A statin lowers cholesterol.\n"
    "2. HMG-CoA reductase\n   url: https://a.example/hmgcr\n   An enzyme of the liver, inhibited by statins."
)


def reply(messages: list[dict[str, Any]], **keys: Any) -> dict[str, Any]:
    raw = json.dumps({"model": "m", "messages": messages} | keys).encode()
    return dict(Reply(read_request(raw), "fp").completion()["choices"][0]["message"])


def ask(prompt: str, **keys: Any) -> str:
    return str(reply([{"role": "user", "content": prompt}], **keys)["content"])


def play(answers: dict[str, str], rollout: int = 0, question: str = QUESTION, turns: int = 20) -> tuple[list[tuple[str, str]], str]:
    """A whole rollout against fixed tool answers: the calls made, and the last words."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    made: list[tuple[str, str]] = []
    for turn in range(turns):
        said = reply(messages, tools=TOOLS, seed=100 * rollout + turn)
        messages.append(said)
        if not said.get("tool_calls"):
            return made, str(said["content"])
        for call in said["tool_calls"]:
            made.append((call["function"]["name"], call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": answers[call["function"]["name"]]})
    raise AssertionError("the agent never ends")


# --- agent


def test_the_agent_searches_visits_and_answers_from_what_it_read() -> None:
    answers = {"search": HITS, "visit": "HMG-CoA reductase\nhttps://a.example/hmgcr\nAn enzyme of the liver."}
    rollouts = [play(answers, rollout) for rollout in range(12)]
    for made, words in rollouts:
        assert made[0] == ("search", json.dumps({"query": QUESTION}))
        assert made[1][0] == "visit" and json.loads(made[1][1])["goal"] == QUESTION
        assert words.endswith(("<answer>HMG-CoA reductase</answer>", "<answer>Statin</answer>"))
    closest, first = ("https://a.example/hmgcr", "https://a.example/statin")
    assert {json.loads(made[1][1])["url"] for made, _ in rollouts} == {closest, first}, "rollouts differ"


def test_a_name_in_the_question_is_no_answer_and_the_best_supported_page_is() -> None:
    question = "Which statin does the liver enzyme inhibited by statins meet?"
    ends = {play({"search": HITS, "visit": "Error: none"}, rollout, question)[1].split("<answer>")[1] for rollout in range(6)}
    assert ends == {"HMG-CoA reductase</answer>"}
    three = HITS + "\n3. Albumin\n   url: https://a.example/alb\n   A protein."
    ends = {play({"search": three, "visit": "Error: none"}, rollout)[1].split("<answer>")[1] for rollout in range(12)}
    assert ends == {"HMG-CoA reductase</answer>", "Statin</answer>"}


def test_without_a_result_it_gives_up_and_without_search_it_uses_what_there_is() -> None:
    made, words = play({"search": "Error: no page shares a word", "visit": ""})
    assert "<answer>" not in words and 1 <= len(made) == len(set(made))
    weather = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    first = reply([{"role": "user", "content": "Rain?"}], tools=[weather])
    assert first["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": "{}"}
    answered = [first, {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "Sunny"}]
    again = [{"role": "user", "content": "Rain?"}, *answered]
    assert "<answer>Sunny</answer>" in reply(again, tools=[weather])["content"] == reply(again)["content"]
    assert reply(again, tools=[weather], tool_choice="required")["tool_calls"]
    assert "tool_calls" not in reply([{"role": "user", "content": "Rain?"}], tools=[weather], tool_choice="none")


LINES = st.lists(st.sampled_from(["1. Alpha kinase", "url: https://x.example/a", "- Beta", "link https://x.example/b", "An enzyme.", ""]))


@settings(max_examples=80, deadline=None)
@given(search=LINES, visit=LINES, rollout=st.integers(0, 99), question=st.sampled_from([QUESTION, "Who?", "Alpha kinase of x?"]))
def test_the_agent_ends_repeats_no_call_and_invents_nothing(search: list[str], visit: list[str], rollout: int, question: str) -> None:
    answers = {"search": "\n".join(search), "visit": "\n".join(visit)}
    made, words = play(answers, rollout, question)
    assert len(made) == len(set(made)) <= 12
    if "<answer>" in words:
        assert words.split("<answer>")[1].split("</answer>")[0] in "\n".join(answers.values())
    for name, arguments in made:
        assert name == "search" or json.loads(arguments)["url"] in "\n".join(answers.values())


def test_hits_are_read_with_their_own_text() -> None:
    first, second = read_hits(HITS)
    assert (first.title, first.url) == ("Statin", "https://a.example/statin") and "cholesterol" in first.words
    assert second.title == "HMG-CoA reductase" and "cholesterol" not in second.words and {"enzyme", "inhibited"} <= second.words
    assert read_hits("no address here") == ()


# --- judge

BROWSECOMP = (
    "Judge whether the following [response] to [question] is correct or not based on the unambiguous [correct_answer] below.\n\n"
    "[question]: Which gene?\n\n[response]: {given}\n\n"
    "Your judgement must be in the format and criteria specified below:\n\n"
    "extracted_final_answer: The final exact answer extracted from the [response].\n\n[correct_answer]: {gold}\n\n"
    "reasoning: Explain why.\n\ncorrect: Answer 'yes' or 'no'.\n\nconfidence: The score."
)
SIMPLEQA = (
    "Grade as A: CORRECT, B: INCORRECT or C: NOT_ATTEMPTED.\n\nExample:\nQuestion: x\nGold target: Malia\nPredicted answer: Malia\n\n"
    "Question: Which gene?\nGold target: {gold}\nPredicted answer: {given}\n\nJust return the letters."
)
PLAIN = "Question: Which gene?\nGround truth: {gold}\nModel response: {given}\nReply CORRECT or INCORRECT."
TAGGED = "<reference_answer>{gold}</reference_answer>\n<response>{given}</response>\nReply in JSON."


@pytest.mark.parametrize(
    ("prompt", "right", "wrong"),
    [(BROWSECOMP, "correct: yes", "correct: no"), (SIMPLEQA, "A", "B"), (PLAIN, "CORRECT", "INCORRECT"), (TAGGED, "true", "false")],
)
def test_the_judge_reads_the_graders_in_use(prompt: str, right: str, wrong: str) -> None:
    for given_text, expected, other in (
        ("brca-1", right, wrong),
        ("Long thoughts.\n\nSo <answer>BRCA 1</answer>", right, wrong),
        ("TP53", wrong, right),
        ("BRCA1 or <answer>TP53</answer>", wrong, right),
        ("<answer>BRCA 1 or TP53</answer>", wrong, right),
    ):
        said = ask(prompt.format(gold="BRCA-1", given=given_text))
        assert expected in said and not said.startswith(other), (given_text, said)


def test_a_structured_verdict_and_prompts_that_ask_for_none() -> None:
    schema = {
        "type": "object",
        "properties": {"correct": {"type": "boolean"}, "grade": {"enum": ["no", "yes"]}},
        "required": ["correct", "grade"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
    assert json.loads(ask(PLAIN.format(gold="x", given="x"), response_format=form)) == {"correct": True, "grade": "yes"}
    assert json.loads(ask(PLAIN.format(gold="x", given="y"), response_format=form)) == {"correct": False, "grade": "no"}
    assert judge("Question: Which gene?\nAnswer: TP53") is None and judge("Is this correct?") is None
    assert not agree("", "anything") and not agree("vitamin A", "a") and agree("vitamin A", "It is vitamin A.")


# --- rewriter


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(st.sampled_from(["so", "I", "need", "to find", "BRCA1", "[E2]", '"then so"', "<think>", "3.5", "about", "the", "gene"])),
    seed=st.integers(0, 99),
)
def test_other_words_keep_names_numbers_and_marks(parts: list[str], seed: int) -> None:
    text = " ".join(parts)
    said = other_words(text, random.Random(seed))
    assert said != text and said == other_words(text, random.Random(seed))
    kept = [part for part in parts if part in ("BRCA1", "[E2]", '"then so"', "<think>", "3.5")]
    assert re.findall(r'BRCA1|\[E2\]|"then so"|<think>|3\.5', said) == kept


def test_the_rewriter_takes_the_block_it_is_shown() -> None:
    assert ask("Rewrite the thought.\n\n<thought>I need to find Marfan syndrome.</thought>") != "I need to find Marfan syndrome."
    assert "Marfan syndrome" in ask("Rewrite the thought.\n\n<thought>I need to find Marfan syndrome.</thought>\nKeep names.")
    assert "FBN1" in (said := ask("Put the query into words.\n\nFind the disease caused by FBN1.")) and "query" not in said
    assert "<answer>" in ask("Hello?"), "plain chat closes in the project's answer form"


# --- JSON schemas

SCALARS = st.one_of(
    st.just({"type": "null"}),
    st.just({"type": "boolean"}),
    st.builds(lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, st.integers(0, 9), st.integers(0, 9)),
    st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(-20, 20), st.integers(0, 9)),
    st.builds(lambda low, step: {"type": "integer", "exclusiveMinimum": low, "multipleOf": step}, st.integers(-20, 20), st.integers(1, 7)),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 1}, st.integers(-5, 5)),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=3), min_size=1)),
    st.builds(lambda value: {"const": value}, st.integers()),
    st.builds(lambda name: {"type": "string", "format": name}, st.sampled_from(["date", "date-time", "uuid", "email"])),
)


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.sampled_from("abcd"), inner, min_size=1)
    return st.one_of(
        st.builds(
            lambda found: {"type": "object", "properties": found, "required": sorted(found), "additionalProperties": False}, properties
        ),
        st.builds(lambda found: {"allOf": [{"type": "object", "properties": found}, {"required": sorted(found)}]}, properties),
        st.builds(lambda item, least: {"type": "array", "items": item, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
    )


@settings(max_examples=150, deadline=None)
@given(schema=st.recursive(SCALARS, nested, max_leaves=8), text=st.text(max_size=20))
def test_values_fit_their_schema(schema: dict[str, Any], text: str) -> None:
    jsonschema.validate(Filler(text).fill(schema), schema, cls=jsonschema.Draft202012Validator)


def test_recursive_schemas_end_and_what_cannot_be_filled_is_refused() -> None:
    tree: dict[str, Any] = {
        "$defs": {"tree": {"type": "object", "properties": {side: {} for side in ("left", "right")}, "required": ["left", "right"]}},
        "$ref": "#/$defs/tree",
    }
    for side in ("left", "right"):
        tree["$defs"]["tree"]["properties"][side] = {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}
    made = Filler("x").fill(tree)
    jsonschema.validate(made, tree)
    assert len(json.dumps(made)) < 500
    endless = {"$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}}, "$ref": "#/$defs/a"}
    for schema in (endless, {"pattern": "x"}, {"$ref": "#/nowhere"}, {"enum": []}, {"type": "object", "required": 5}):
        with pytest.raises(BadRequest):
            Filler("x").fill(schema)


@given(text=st.text(max_size=30))
def test_a_json_object_is_one(text: str) -> None:
    assert isinstance(json.loads(ask(text, response_format={"type": "json_object"})), dict)


def test_log_probabilities_are_probabilities_and_as_many_as_tokens() -> None:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello?"}], "logprobs": True, "top_logprobs": 20}).encode()
    reply = Reply(read_request(raw), "fp").completion()
    tokens = reply["choices"][0]["logprobs"]["content"]
    assert len(tokens) == reply["usage"]["completion_tokens"]
    for token in tokens:
        chances = [2.718281828459045 ** other["logprob"] for other in token["top_logprobs"]]
        assert len(chances) == 20 and chances == sorted(chances, reverse=True) and sum(chances) <= 1.0 + 1e-9
        assert bytes(token["bytes"]).decode() == token["token"] == token["top_logprobs"][0]["token"]
