"""A model served for as long as a block lasts: `scripts.serve` in a process of its own, stopped by its id whatever happens in the block."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engine.errors import UserError

START_S = 600.0
"""Seconds until a model must answer: a small one takes half a minute."""
STOP_S = 60.0
"""Seconds to stop in, before it is killed."""


@contextmanager
def served(overrides: Sequence[str]) -> Iterator[str]:
    """`python -m scripts.serve OVERRIDES` on a free port of this machine; its `base_url`, once the model answers.

    Raises:
        UserError: it does not start; it has said why.
    """
    command = [sys.executable, "-m", "scripts.serve", *overrides, "port=0", "with_parent=true"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
    assert server.stdout is not None
    patience = threading.Timer(START_S, server.kill)
    patience.start()
    try:
        told = next((line for line in server.stdout if " on http" in line), None)
        if told is None:
            raise UserError(f"scripts.serve ended with status {server.wait()} before the model answered\n  → see what it says above")
        patience.cancel()
        yield told.split()[-1]
    finally:
        patience.cancel()
        _stop(server)


def _stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    try:
        server.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.communicate()
