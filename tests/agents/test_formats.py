"""Messages to OpenAI dicts and back; the final answer; answers that count as equal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.answers import answers_match, number
from agents.formats import final_answer, from_reply, from_wire, spell_call, to_wire, to_wires
from agents.records import Message, ToolCall
from engine.llm.protocol import CallRequest, ChatReply
from tests.agents.worlds import call, conversation

TEXT = st.text(max_size=20)
CALLS = st.lists(st.builds(ToolCall, id=TEXT, name=TEXT, arguments=TEXT), max_size=3).map(tuple)
MESSAGES = st.one_of(
    st.builds(Message, role=st.sampled_from(["system", "user"]), content=TEXT),
    st.builds(Message, role=st.just("assistant"), content=TEXT, tool_calls=CALLS),
    st.builds(Message, role=st.just("tool"), content=TEXT, tool_call_id=TEXT, name=TEXT),
)


@given(MESSAGES)
def test_messages_survive_the_wire(message):
    wire = json.loads(json.dumps(to_wire(message)))
    assert from_wire(wire) == message
    assert None not in wire.values()


def test_the_wire_form_is_openais():
    wires = to_wires(conversation())
    assert wires[2]["tool_calls"][0] == {
        "id": "call_0_0",
        "type": "function",
        "function": {"name": "search", "arguments": '{"query": "x"}'},
    }
    assert wires[3] == {"role": "tool", "content": "first", "tool_call_id": "call_0_0", "name": "search"}
    assert from_wire({"role": "assistant", "content": None, "tool_calls": None}) == Message(role="assistant", content="")


def test_reasoning_comes_before_the_content():
    calls = (CallRequest(id="x", name="search", arguments="{}"),)
    reply = ChatReply(content="Now.", tool_calls=calls, finish_reason="tool_calls", prompt_tokens=1, completion_tokens=1, reasoning="Hm. ")
    assert from_reply(reply) == Message(role="assistant", content="Hm.\n\nNow.", tool_calls=(call("x", "search", "{}"),))


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("<answer>FBN1</answer>", "FBN1"),
        ("I say <answer>A</answer>, no: <answer>\n B \n</answer>", "B"),
        ("<answer> </answer>", None),
        ("the answer is FBN1", None),
        ("<answer>FBN1", None),
    ],
)
def test_the_last_tagged_answer_counts(content, answer):
    assert final_answer(Message(role="assistant", content=content)) == answer


def test_only_an_assistant_message_without_calls_answers():
    tagged = "<answer>A</answer>"
    assert final_answer(Message(role="tool", content=tagged)) is None
    assert final_answer(Message(role="assistant", content=tagged, tool_calls=(call("1"),))) is None


def test_equal_calls_are_spelt_alike():
    assert spell_call(call("1", "a", '{"y": 1, "x": 2}')) == spell_call(call("2", "a", '{ "x":2,"y":1 }'))
    assert spell_call(call("1", "a", "{x")) == "a {x"


@pytest.mark.parametrize(
    ("given_", "gold", "aliases", "equal"),
    [
        ("Marfan Syndrome.", "Marfan syndrome", (), True),
        ("the liver", "liver", (), True),
        ("BCR–ABL1", "BCR-ABL1", (), True),
        ("Gleevec", "imatinib", ("Gleevec",), True),
        ("imatinib or dasatinib", "imatinib", (), False),
        ("Marfan", "Marfan syndrome", (), False),
        ("", "", ("",), False),
        ("...", "imatinib", ("?",), False),
        ("1,024", "1024", (), True),
        ("Seven", "7", (), True),
        ("7.0", "7", (), True),
        ("17", "7", (), False),
        ("-7", "7", (), False),
        ("7 drugs", "7", (), False),
        ("15", "1.5", (), False),
    ],
)
def test_when_answers_are_the_same(given_, gold, aliases, equal):
    assert answers_match(given_, gold, aliases) is equal


@given(st.integers(-(10**6), 10**6))
def test_numbers_are_read_as_written(value):
    assert number(f"{value:,}") == number(str(value)) == number(f" {value}.") == value
    assert not answers_match(str(value + 1), str(value))


@given(st.text(alphabet="abcdefgh -", min_size=1).filter(lambda text: text.strip(" -")))
def test_an_answer_matches_itself_in_any_case(text):
    assert answers_match(text.upper(), text)
