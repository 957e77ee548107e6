"""Three nodes, one of which dies in mid-run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine.ledger import Ledger
from engine.storage import Storage
from tests.conftest import ROOT
from tests.engine.cluster_run import COUNT
from tests.engine.toy import Number, number


def test_a_dead_node_loses_and_doubles_nothing(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    command = [sys.executable, "-m", "tests.engine.cluster_run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node killed" in done.stdout and "on 2 nodes" in done.stdout
    index = Ledger(Storage(str(tmp_path))).index()
    squares = [row for value in range(1, COUNT) for row in index.entries("square")[number(value).id].rows]
    values = sorted(row.value for row in index.rows("halve", Number, squares))
    expected = (square for v in range(1, COUNT) if v % 7 and v not in (13, 99) for square in (v**2, v**2 + 1))
    assert values == sorted(square // 2 for square in expected if square % 2 == 0)
