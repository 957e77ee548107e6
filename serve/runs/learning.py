"""What a training has learned so far: its `metrics.jsonl` as curves over steps, and the scores of a tour with their intervals.

The same files as `rl.curves` draws and `rl.score` writes, read without torch, so that a laptop can look at them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from scipy.stats import binomtest

CURVES: Mapping[str, Mapping[str, bool]] = {
    "loss": {"loss": True, "valid_loss": False},
    "accuracy": {"accuracy": True, "valid_accuracy": False},
    "reward": {"reward": True},
    "rate": {"rate": False},
    "tokens_per_s": {"tokens_per_s": True},
}
"""Panel → keys of a line, and whether they are noisy from step to step."""

SMOOTHED = 0.8
"""Weight of the past in the moving average of a noisy curve."""

CONFIDENCE = 0.95
RIGHT = "right"
"""The outcome that counts."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity over steps."""

    name: str
    points: Sequence[tuple[float, float]]
    average: Sequence[tuple[float, float]] = ()
    """Of a noisy one."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many questions are right."""

    right: int
    count: int

    @property
    def value(self) -> float:
        """0 of none."""
        return self.right / self.count if self.count else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, after Wilson (1927)."""
        if not self.count:
            return 0.0, 1.0
        found = binomtest(self.right, self.count).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True, slots=True)
class TourScores:
    """Models in the order in which they came about → groups of held-out questions → share that is right."""

    groups: Mapping[str, Mapping[str, Share]]
    endings: Mapping[str, Mapping[str, int]]
    """Model → how the questions of the test set ended."""

    @property
    def sentences(self) -> list[str]:
        """Whether each model is better than the one before it, and so clearly that the intervals do not touch."""
        found = [(model, groups["all"]) for model, groups in self.groups.items()]
        told = []
        for (worse, before), (better, after) in pairwise(found):
            clear = after.interval[0] > before.interval[1]
            told.append(f"{better} > {worse}, intervals apart" if clear else f"{better} is not clearly better than {worse}")
        return told


def is_training(folder: Path) -> bool:
    """Whether its metrics are those of a training: told by step."""
    try:
        with (folder / "metrics.jsonl").open(encoding="utf-8") as file:
            return '"step"' in file.readline()
    except (OSError, UnicodeDecodeError):
        return False


def read_curves(folder: Path) -> dict[str, list[Curve]]:
    """Panel → its curves, as far as the training has come; of a step that was done again, the last."""
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    rows = [row for line in lines if isinstance(row := _parsed(line), dict) and "step" in row]
    panels = {}
    for panel, keys in CURVES.items():
        points = {key: sorted({row["step"]: float(row[key]) for row in rows if row.get(key) is not None}.items()) for key in keys}
        curves = [Curve(key, found, _averaged(found) if keys[key] and len(found) > 1 else ()) for key, found in points.items() if found]
        if curves:
            panels[panel] = curves
    return panels


def read_tour(folder: Path) -> TourScores | None:
    """The scores of a tour; None until its models are scored."""
    try:
        told = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    groups = {model: _groups(sets["test"], sets["entities"]) for model, sets in told.items()}
    return TourScores(groups, {model: Counter(row["outcome"] for row in sets["test"]) for model, sets in told.items()})


def _groups(test: Sequence[Mapping[str, object]], entities: Sequence[Mapping[str, object]]) -> dict[str, Share]:
    lengths = sorted({int(str(row["hops"])) for row in test})
    by_hops = {f"{hops} hop{'s' if hops != 1 else ''}": [row for row in test if row["hops"] == hops] for hops in lengths}
    named = {"all": test, **by_hops, "new entities": entities}
    return {name: Share(sum(row["outcome"] == RIGHT for row in rows), len(rows)) for name, rows in named.items()}


def _averaged(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Exponential moving average, free of the pull towards its start (Kingma & Ba, arXiv 1412.6980, section 3)."""
    found, kept, weight = [], 0.0, 1.0
    for step, value in points:
        kept, weight = SMOOTHED * kept + (1 - SMOOTHED) * value, SMOOTHED * weight
        found.append((step, kept / (1 - weight)))
    return found


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:  # torn by a kill
        return None
