"""The judge of pairs: the same verdict in either order where the candidates differ, the favoured place where they hardly do."""

from __future__ import annotations

import json

import pytest

from engine.llm.simulator.instance import Filler
from engine.llm.simulator.pairwise import prefer

RICH, POOR = "one two three four five six", "one one one"
TAGS = "<candidate_a>\n{}\n</candidate_a>\n\n<candidate_b>\n{}\n</candidate_b>"
BRACKETS = "\n".join(f"[The Start of Assistant {place}'s Answer]\n{{}}\n[The End of Assistant {place}'s Answer]" for place in "AB")


def chosen(prompt: str) -> str:
    turn = prefer(prompt)
    assert turn is not None
    return turn.choice


@pytest.mark.parametrize("form", [TAGS, BRACKETS])
def test_the_richer_one_is_preferred_in_either_order_and_near_ones_by_their_place(form: str) -> None:
    assert chosen(form.format(RICH, POOR)) == "A" and chosen(form.format(POOR, RICH)) == "B"
    assert chosen(form.format(RICH, f"{RICH} one")) == chosen(form.format(f"{RICH} one", RICH)) == "A"
    assert chosen(form.format(RICH, RICH)) == "equal"


def test_it_answers_in_the_form_that_is_asked_for() -> None:
    shown = TAGS.format(POOR, RICH)
    said = [prefer(f"{wish}\n{shown}") for wish in ("Reply as JSON.", "Say [[A]], [[B]] or [[C]].", "End with `better: A`.")]
    contents = [turn.content for turn in said if turn]
    assert json.loads(contents[0])["better"] == "B" and contents[1].endswith("[[B]]") and contents[2].endswith("\nbetter: B")
    assert prefer("Correct answer: x\n\nResponse: y") is None and prefer(shown.partition("\n\n")[0]) is None


def test_a_choice_is_taken_where_a_schema_has_it() -> None:
    schema = {"type": "object", "properties": {"better": {"enum": ["A", "B", "equal"]}}, "required": ["better"]}
    assert Filler("text", choice="equal").fill(schema) == {"better": "equal"}
    assert Filler("text", verdict=True).fill(schema) == {"better": "A"} and Filler("text", choice="C").fill(schema) == {"better": "B"}
