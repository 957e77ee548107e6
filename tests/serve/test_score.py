"""From graded rollouts to the score: every number by hand on a small made-up evaluation."""

from __future__ import annotations

import dataclasses
import json

import pytest

from agents.curate.verdict import Verdict
from agents.records import StopReason
from engine.records import Rejection
from samplers.records import Question
from serve.evals.benchmarks.benchmark import question
from serve.evals.records import ErrorKind, Graded
from serve.evals.report import in_words, markdown
from serve.evals.score import Evaluation, answer_key, score_of


def asked(number: int, cluster: str, hops: int = 2) -> Question:
    return question("x", f"Q{number}?", f"A{number}", cluster=cluster, hops=hops, tags=("specialty:oncology",) if number else ())


def graded(row: Question, rollout: int, given: str | None, verdict: Verdict | None = None, **changes: object) -> Graded:
    right = given is not None and given.casefold() == row.answer.casefold()
    verdict = verdict or (Verdict.RIGHT if right else Verdict.WRONG)
    made = Graded(
        id=f"{row.id}-{rollout}", trace_id=row.trace_id, question_id=row.id, question=row.text, answer=row.answer, accepted=(row.answer,),
        cluster="", paradigm="imported", hops=row.hops, rollout=rollout, given=given, verdict=verdict, judged_by="match", reason="",
        f1=None, error=None if verdict is Verdict.RIGHT else ErrorKind.GAVE_UP if given is None else ErrorKind.READING_MISS,
        stop_reason=StopReason.ANSWERED,
        tools=("search",) if given else (), tool_calls=2, tool_errors=0, invalid_calls=int(given is None),
        model_calls=3, prompt_tokens=100, completion_tokens=10, tags=row.tags,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]  # test shorthand


def refused(row: Question, ordinal: int) -> Rejection:
    return Rejection(
        id=f"{row.id}-{ordinal}",
        trace_id=row.trace_id,
        stage="rollout",
        cause="context_overflow",
        detail="",
        input_id=row.id,
        ordinal=ordinal,
    )


QUESTIONS = [asked(0, "c0"), asked(1, "c1"), asked(2, "c1", 3), asked(3, "c2", 3)]


def evaluation(**changes: object) -> Evaluation:
    """Question 0: right, right. 1: right, wrong. 2: nothing said, refused. 3: unknown, wrong."""
    zero, one, two, three = QUESTIONS
    rows = [
        graded(zero, 0, "A0"), graded(zero, 1, "a0"), graded(one, 0, "A1"), graded(one, 1, "A3"), graded(two, 0, None),
        graded(three, 0, "Athree", Verdict.UNKNOWN), graded(three, 1, "A0"),
    ]  # fmt: skip
    made = Evaluation(QUESTIONS, 2, rows, [refused(two, 1)], 0, cost_usd=0.5)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]  # test shorthand


def test_every_number_by_hand() -> None:
    score = score_of(evaluation())
    assert (score["complete"], score["questions"], score["clusters"], score["attempts"]) == (True, 4, 3, 8)
    assert score["accuracy"]["value"] == pytest.approx((1 + 0.5 + 0 + 0) / 4) and len(score["accuracy"]["bootstrap"]) == 2
    assert [score["pass_at_k"][k]["value"] for k in "12"] == [0.375, 0.5] and score["all_right_at_k"]["2"]["value"] == 0.25
    assert score["majority_at_k"]["2"]["value"] == pytest.approx((1 + 0.5) / 4) and "1" not in score["majority_at_k"]
    assert score["rates"] == {
        "abstained": 1 / 8, "invalid": 0.0, "refused": 1 / 8, "unknown": 1 / 8, "right_if_unknown_were": 0.5,
        "invalid_calls": pytest.approx(1 / 14, abs=1e-6), "failed": 0.0,
    }  # fmt: skip
    assert score["errors"]["reading_miss"] == 3 and score["errors"]["gave_up"] == 1 and score["errors"]["refused"] == 1
    assert score["baselines"]["constant"]["value"] == 0.25 and score["baselines"]["modal"] == {"answer": "a0", "value": 0.25}
    assert score["effort"]["cost_usd_per_question"] == 0.125 and score["effort"]["cost_usd_per_right_answer"] == pytest.approx(
        0.5 / 3, abs=1e-6
    )
    assert {name: each["value"] for name, each in score["breakdown"]["hops"].items()} == {"2": 0.75, "3": 0.0}
    assert set(score["breakdown"]) == {"hops", "tool"}  # one paradigm and one specialty are no breakdown
    assert {name: each["observations"] for name, each in score["breakdown"]["tool"].items()} == {"none": 1, "search": 3}
    assert "f1" not in score


def test_what_failed_is_no_attempt_and_makes_the_score_incomplete() -> None:
    whole = evaluation()
    some = evaluation(graded=whole.graded[:-2], failed=2)
    score = score_of(some)
    assert not score["complete"] and score["attempts"] == 6 and score["rates"]["failed"] == 0.25
    assert score["accuracy"]["observations"] == 3 and score["accuracy"]["value"] == 0.5  # question 3 has no attempt, so it has no share
    nothing = score_of(evaluation(graded=[], refused=[], failed=8))
    assert not nothing["complete"] and nothing["accuracy"] == {} and nothing["pass_at_k"] == {"1": {}, "2": {}}
    assert "there is no score" in in_words(nothing)
    lost = score_of(evaluation(graded=whole.graded[:-1], failed=1))
    assert lost["pass_at_k"]["2"]["observations"] == 3  # a question with one attempt says nothing of two


def test_the_order_of_rows_changes_nothing() -> None:
    whole = evaluation()
    text = json.dumps(score_of(whole), sort_keys=True)
    assert json.dumps(score_of(evaluation(graded=whole.graded[::-1], questions=QUESTIONS[::-1])), sort_keys=True) == text


def test_f1_is_told_where_the_benchmark_has_it_and_refusals_have_none() -> None:
    rows = [dataclasses.replace(row, f1=0.5) for row in evaluation().graded]
    assert score_of(evaluation(graded=rows))["f1"]["value"] == pytest.approx((0.5 * 3 + 0.25) / 4)


def test_equal_answers_have_one_spelling() -> None:
    assert answer_key("1,024") == answer_key("1024.0") and answer_key("Seven.") == answer_key("7")
    assert answer_key("The BCR-ABL1") == answer_key("bcr abl1") != answer_key("bcr")


def test_markdown_warns_and_keeps_its_tables_whole() -> None:
    facts = {
        "dataset": {"title": "T|x", "version": "1", "file": "f", "sha256": "", "questions_hash": "h",
                    "source": "s", "licence": "l", "notes": ["N."]},
        "model": {"fingerprint": "", "policy": "scripted", "temperature": 0.7, "max_tokens": 2048},
        "judge": {"fingerprint": "", "style": "base"},
        "prompt": {"hash": "p"}, "tools": {"names": ["search"], "search": "local", "snapshot": "", "graph": "g1"},
        "settings": "s", "seed": 0,
    }  # fmt: skip
    agreement = {"rollouts": 8, "agreed": 0.75, "kappa": 0.5, "changed": {"unknown → wrong": 2}}
    told = markdown({**facts, **score_of(evaluation(failed=1)), "agreement": agreement}, {"calls": {"agent": {"p50": 1.0, "p95": 2.0}}})
    assert "> **Incomplete:** 1 rollouts failed" in told and "> N." in told and "T\\|x" in told
    assert "For 12.5 % of the attempts nobody could tell" in told and "judge=model asks a model" in told
    assert "hang together in 3 clusters" in told and "| seconds per model call (agent) | – | 1.00 | 2.00 |" in told
    assert "| Cohen's κ | 0.500 |" in told and "| unknown → wrong | 2 |" in told and "date not stated, graph g1" in told
