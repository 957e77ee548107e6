"""A judge of pairs: asked in both orders, in either form of reply, and what it does not say is no verdict."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agents.config import CurateConfig
from engine.config import EndpointConfig
from engine.errors import ConfigError
from engine.limits.limiter import Unlimited
from engine.llm.client import HttpChatModel
from engine.llm.protocol import ChatModel
from engine.llm.simulator import Simulator, serve_simulator
from engine.stage import Outcomes, run_stage
from serve.evals.pairs import Match, Pair
from serve.evals.pairwise import Outcome, Preference, Preferences
from serve.evals.prefer import PreferCause, PreferStage
from tests.serve.test_taxonomy import Judge

PAIR = Pair(
    id="p", trace_id="s", match=Match.SAME_KIND, kind="chain", first_id="a", second_id="b", first="one two three four", second="one one",
)  # fmt: skip
TEXT = CurateConfig(judge_reply="text")


async def asked(model: ChatModel, pair: Pair = PAIR, config: CurateConfig = TEXT) -> Outcomes[Preference]:
    stage = PreferStage(config, lambda: model)
    await stage.open()
    return await run_stage(stage, pair, 0, 10.0)


def found(ended: Outcomes[Preference], pair: Pair = PAIR) -> Outcome:
    return Preferences.of(("a", "b"), [pair], ended.rows, ended.rejections, 0).outcomes[pair.id]


@pytest.mark.parametrize("config", [TEXT, CurateConfig()])
@pytest.mark.parametrize("match", list(Match))
def test_a_served_judge_is_read_in_both_forms_and_orders(config: CurateConfig, match: Match) -> None:
    async def both() -> list[Outcomes[Preference]]:
        async with serve_simulator(Simulator()) as url:
            model = HttpChatModel(EndpointConfig(base_url=url, model="simulator"), Unlimited())
            pairs = (replace(PAIR, match=match), replace(PAIR, first=PAIR.second, second=PAIR.first), replace(PAIR, second=PAIR.first))
            try:
                return [await asked(model, pair, config) for pair in pairs]
            finally:
                await model.close()

    ended = asyncio.run(both())
    assert [found(each) for each in ended] == [Outcome.FIRST, Outcome.SECOND, Outcome.EQUAL]
    assert [row.swapped for row in ended[0].rows] == [False, True] and all(row.reason for each in ended for row in each.rows)


def test_one_place_whatever_stands_there_is_bias_words_without_a_verdict_are_rejected_and_silence_is_trouble() -> None:
    assert found(asyncio.run(asked(Judge("I take it.\nbetter: A")))) is Outcome.ALWAYS_A
    rejected = asyncio.run(asked(Judge("Both have their merits.")))
    assert {row.cause for row in rejected.rejections} == {PreferCause.UNREADABLE_VERDICT} and len(rejected.rejections) == 2
    assert found(rejected) is Outcome.UNREADABLE and "merits" in rejected.rejections[0].detail
    silent = asyncio.run(asked(Judge("")))
    assert found(silent) is Outcome.FAILED and {row.cause for row in silent.failures} == {"model_unreachable"}


def test_a_pair_is_asked_once_in_each_order() -> None:
    with pytest.raises(ConfigError, match="judge_votes"):
        PreferStage(CurateConfig(judge_votes=2), lambda: Judge("better: A"))
