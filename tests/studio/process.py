"""A studio as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys


class started:
    """`python -m scripts.studio port=0 …` until the block ends; gives its address."""

    def __init__(self, *overrides: str, env: dict[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "scripts.studio", "port=0", *overrides]
        self._env = {**os.environ, **(env or {})}

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, env=self._env)
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        return found[0].rstrip("/")

    def __exit__(self, *exc_info: object) -> None:
        self.process.terminate()
        self.process.wait(20)
