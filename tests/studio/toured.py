"""A tour's directory, as far as it is looked at."""

from __future__ import annotations

import json
from pathlib import Path


def tour(folder: Path) -> Path:
    """A base model that answers nothing, and one after SFT that answers four of five questions."""
    (folder / "sft").mkdir(parents=True)
    (folder / "config.yaml").write_text("{}")
    (folder / "steps.json").write_text(json.dumps({"report": {"seconds": 1.0}}))
    rows = [{"question_id": str(number), "hops": 1 + number % 2, "outcome": "no_answer", "answer": "", "calls": 0} for number in range(50)]
    better = [{**row, "outcome": "right" if number < 40 else "wrong"} for number, row in enumerate(rows)]
    sets = {"base": {"test": rows, "entities": rows[:10]}, "SFT": {"test": better, "entities": better[:10]}}
    (folder / "scores.json").write_text(json.dumps(sets))
    lines = [{"step": step, "loss": 8 / step, **({"valid_loss": 9 / step} if step % 5 == 0 else {})} for step in range(1, 21)]
    (folder / "sft" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
