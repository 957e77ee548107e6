"""Who answers: the persona is chosen by what the request asks for."""

from __future__ import annotations

import random

from engine.llm.simulator.agent import act
from engine.llm.simulator.instance import Filler
from engine.llm.simulator.judge import judge
from engine.llm.simulator.pairwise import prefer
from engine.llm.simulator.parser import parse_back
from engine.llm.simulator.request import Asked, text_of
from engine.llm.simulator.rewriter import reword
from engine.llm.simulator.turn import Turn
from engine.records import canonical_json

SENTENCES = (
    "I am a simulator: there is no model behind this reply.",
    "The words depend on the request alone, so the same request gives the same words.",
    "Nothing here was looked up, and nothing should be believed.",
    "A real model would spend about as many tokens on a short answer.",
    "Offer me tools, and I search, read and answer with what I find.",
)


def speak(asked: Asked, rng: random.Random) -> Turn:
    """Agent when tools are offered or were used; judge of pairs when two candidates are shown, and of an answer when two labelled
    ones are; rewriter when text is to be put in other words; else plain chat. A structured reply holds the same in the form of its
    schema. A question that is to be read back into a query is, where its words are plain enough.

    Raises:
        BadRequest: the schema asked for cannot be filled.
    """
    read = parse_back(asked.messages, asked.schema)
    if read is not None:
        return Turn(canonical_json(read))
    turn = _speak(asked, rng)
    if turn.calls or asked.schema is None:
        return turn
    schema = asked.schema
    if not schema.get("properties") and schema == {"type": "object"}:  # response_format json_object: any object will do
        return Turn(canonical_json({"answer": turn.gist, "correct": turn.verdict}))
    return Turn(canonical_json(Filler(turn.gist, turn.verdict, choice=turn.choice).fill(schema)))


def _speak(asked: Asked, rng: random.Random) -> Turn:
    if asked.tools or any(message["role"] == "tool" for message in asked.messages):
        return act(asked, rng)
    prompt = "\n\n".join(text_of(message) for message in asked.messages if message["role"] != "assistant")
    return prefer(prompt) or judge(prompt) or reword(asked.messages, rng) or _chat(rng)


def _chat(rng: random.Random) -> Turn:
    """Says what it is, at varying length, and closes in the project's form for a final answer."""
    said = rng.sample(SENTENCES, rng.randint(1, len(SENTENCES)))
    return Turn(" ".join(said) + "\n<answer>unknown</answer>", gist="unknown")
