"""What the page of scores reads and draws, without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import InputError
from serve.runs.learning import Share, is_training, read_curves, read_tour
from serve.studio.scoring import Interval, curve_chart, evaluations, group_chart, interval_chart, training, trainings
from serve.studio.workspace import Workspace
from tests.studio.toured import tour

MARKUP = "<img src=x onerror=alert(1)>"


def test_a_training_is_read_as_far_as_it_has_come(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 2.0, "valid_loss": 3.0}, {"step": 2, "loss": 1.0}, {"rate": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 3, "lo')
    loss, kept_apart = read_curves(tmp_path)["loss"]
    assert loss.points == [(1, 4.0), (2, 1.0)] and kept_apart.points == [(2, 3.0)] and not kept_apart.average
    assert loss.average[0] == (1, pytest.approx(4.0)) and loss.average[1][1] == pytest.approx((0.8 * 0.2 * 4 + 0.2) / (1 - 0.64))
    assert is_training(tmp_path) and not is_training(tmp_path / "none") and read_curves(tmp_path / "none") == {}


def test_intervals_are_wilsons() -> None:
    assert Share(7, 20).interval == pytest.approx((0.18119, 0.56714), abs=1e-4)
    assert Share(0, 0).interval == (0.0, 1.0) and Share(0, 0).value == 0.0


def test_a_tour_is_told_by_group_and_by_whether_intervals_part(tmp_path: Path) -> None:
    folder = tour(tmp_path / "tour")
    found = read_tour(folder)
    assert found and list(found.groups) == ["base", "SFT"] and list(found.groups["SFT"]) == ["all", "1 hop", "2 hops", "new entities"]
    assert found.groups["SFT"]["all"] == Share(40, 50) and found.endings["base"] == {"no_answer": 50}
    assert found.sentences == ["SFT > base, intervals apart"]
    (folder / "scores.json").unlink()
    assert read_tour(folder) is None


def test_trainings_are_found_inside_tours_and_only_those_can_be_opened(tmp_path: Path) -> None:
    tour(tmp_path / "runs" / "tour")
    workspace = Workspace(str(tmp_path / "runs"))
    assert trainings(workspace) == ["tour/sft"] and training(workspace, "tour/sft").name == "sft"
    for name in ("tour", "../runs/tour/sft", "none"):
        with pytest.raises(InputError):
            training(workspace, name)


def test_an_evaluation_that_has_not_ended_or_is_damaged_is_not_listed(tmp_path: Path) -> None:
    for name, score in (("begun", None), ("damaged", "{")):
        (tmp_path / name / "graded").mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text("{}")
        if score:
            (tmp_path / name / "score.json").write_text(score)
    assert evaluations(Workspace(str(tmp_path))) == []


def test_pictures_hold_the_numbers_and_no_name_is_put_into_markup() -> None:
    rows = [Interval(MARKUP, 0.25, 0.1, 0.5), Interval("one cluster", 0.5, None, None)]
    drawn = interval_chart(rows, "right")
    base, span, points = (series["data"] for series in drawn["series"])
    assert (base, span, points) == ([10.0, 50.0], [40.0, 0], [25.0, 50.0])
    assert "formatter" not in json.dumps(drawn["tooltip"]) and drawn["tooltip"]["renderMode"] == "richText"
    grouped = group_chart({"base": rows, "SFT": rows})
    assert [sum(parts) for parts in zip(*(series["data"] for series in grouped["series"][:3]), strict=True)] == [50.0, 50.0]
    assert curve_chart([], {})["tooltip"]["renderMode"] == "richText"
