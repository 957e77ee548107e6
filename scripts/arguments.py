"""Command lines of the small tools: argparse with `--help`, and `key=value` accepted as everywhere else in the project."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

_ASSIGNMENT = re.compile(r"[a-z_][a-z_.]*=.*", re.DOTALL)


def parse_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse `--run-dir X` and `run.dir=X` alike: dots and underscores of a key read as dashes of an option."""
    translated = []
    for argument in arguments:
        if _ASSIGNMENT.fullmatch(argument):
            key, _, value = argument.partition("=")
            translated += [f"--{re.sub(r'[._]', '-', key)}={value}"]
        else:
            translated.append(argument)
    return parser.parse_args(translated)
