"""Small runs for tests: the real job, composed from conf/, in the test session's Ray."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from scripts import synthesize
from scripts.settings import CONF, read_settings, resolve_run_dir


def run(folder: Path, *overrides: str) -> None:
    """`python -m scripts.synthesize run.dir=FOLDER …` without a process of its own."""
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("synthesize", [f"run.dir={folder}", *overrides], return_hydra_config=False)
    settings, values = read_settings(config)
    synthesize.run_job(settings, values, resolve_run_dir(settings, values, in_job=False, in_sweep=False))


def command(*arguments: str) -> str:
    """What `python -m scripts.synthesize ARGUMENTS` says on stderr when it exits; for what fails before Ray starts."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said), pytest.raises(SystemExit) as exited:
        patch.setattr(sys, "argv", ["scripts.synthesize", *arguments])
        synthesize.main()
    return said.getvalue() if exited.value.code in (0, 1) else str(exited.value.code)
