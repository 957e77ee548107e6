"""A judge over pairs of two data sets: its settings, the run that asks it, and what it says together."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra import compose, initialize_config_dir
from rich.console import Console

from agents.formats import to_wires
from engine.config import parse
from engine.errors import ConfigError
from engine.ledger import Ledger
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegSettings, run_leg
from engine.pipeline.session import in_ray_job, ray_session
from engine.records import Ending, canonical_json, derive_id
from engine.storage import Storage
from scripts.models import Models, open_models
from scripts.settings import CONF, check_overrides, claim_settings, plain_values, resolve_run_dir, row_fingerprint, write_manifest
from serve.evals.config import EvaluateSettings
from serve.evals.dataset import DataSet
from serve.evals.pairs import Pair, draw_pairs
from serve.evals.pairwise import Preference, Preferences
from serve.evals.prefer import PreferStage, prompts

SHORT = {"llm.base_url": "llm.default.base_url", "llm.model": "llm.default.model"}
"""Keys that may be written short on the command line."""


@dataclass(frozen=True)
class Judging:
    """Pairs and the judge they are put to."""

    settings: EvaluateSettings
    known: dict[str, Any]
    """All settings, and the hashes of what they name."""
    storage: Storage
    names: tuple[str, str]
    pairs: Sequence[Pair]
    models: Models


@dataclass(frozen=True)
class Judged:
    """What the judge said, and what that rests on."""

    preferences: Preferences
    said: Sequence[Preference]
    facts: dict[str, Any]


def prepare(sets: tuple[DataSet, DataSet], most: int, overrides: Sequence[str]) -> Judging:
    """Read and check everything that can be wrong before anybody is asked.

    Args:
        most: pairs drawn at most.
        overrides: keys of conf/evaluate.yaml; of them those of llm, limits, tape, pipeline, pools.grade, run and the judge count.

    Raises:
        UserError: a setting is wrong, nobody answers, or the two have nothing that can be put side by side.
    """
    first, second = sets
    name = re.sub(r"[^\w-]+", "-", f"compare-{first.name}-{second.name}").strip("-")
    parts = (override.partition("=") for override in overrides)
    keys = [f"run.name={name}", *(f"{SHORT.get(key, key)}{sign}{value}" for key, sign, value in parts)]
    check_overrides(keys, "evaluate")
    with initialize_config_dir(str(CONF), version_base=None):
        values = plain_values(compose("evaluate", keys))
    settings = parse(values, EvaluateSettings)
    pairs = draw_pairs(first, second, most, settings.run.seed)
    if not pairs:
        problem = f"{first.name} and {second.name} have neither a question nor a kind of question in common"
        raise ConfigError("judge", problem, "leave judge out: the table needs no pairs")
    storage = Storage(resolve_run_dir(settings, values, in_ray_job(), in_sweep=False))
    models = open_models(settings, storage, ["judge"])
    hashes = [_hash(data) for data in sets]
    known = {**values, "sets_hash": derive_id(*hashes), "graph_hash": "", "fingerprints": dict(models.fingerprints)}
    judging = Judging(settings, known, storage, (first.name, second.name), pairs, models)
    _stage(judging, models)  # the constructor refuses what cannot work
    claim_settings(storage, known)
    return judging


def ask(judging: Judging, console: Console) -> Judged:
    """Ask for every pair in both orders; what an earlier run settled is not asked again."""
    settings, storage = judging.settings, judging.storage
    with ray_session(settings.pipeline):
        leg = LegSettings(settings.run, settings.pipeline, Ledger(storage), console)
        plan = StagePlan(_stage(judging, judging.models.limited()), settings.pools.grade, "preferences")
        ended = run_leg(judging.pairs, [plan], leg)
    said = ended.rows(PreferStage.name, Preference)
    found = Preferences.of(judging.names, judging.pairs, said, ended.rejections(), settings.run.seed)
    facts = {
        "judge": judging.models.fingerprints["judge"],
        "prompt": hashlib.sha256(canonical_json(prompts()).encode()).hexdigest(),
        "reply": settings.curate.judge_reply,
        "settings": row_fingerprint(judging.known),
        "sets": judging.known["sets_hash"],
        "seed": settings.run.seed,
        "rejected_calls": _causes(ended.rejections()),
        "failed_calls": _causes(ended.failures()),
    }
    return Judged(found, said, facts)


def seal(judging: Judging, judged: Judged) -> None:
    """The manifest, which says that everything else is written."""
    rejected, failed = (sum(judged.facts[key].values()) for key in ("rejected_calls", "failed_calls"))
    counts = {"seeds": len(judging.pairs), "attempts": len(judged.said) + rejected, "failed": failed}
    write_manifest(judging.storage, judging.known, counts, {}, "", judging.models.cost_usd())


def _causes(endings: Sequence[Ending]) -> dict[str, int]:
    return dict(sorted(Counter(row.cause for row in endings).items()))


def _stage(judging: Judging, models: Models) -> PreferStage:
    judge = models.factory("judge", PreferStage.name)
    assert judge is not None, "the role was opened"
    return PreferStage(judging.settings.curate, judge)


def _hash(data: DataSet) -> str:
    """Of everything that a judge can be shown of it."""
    asked = (canonical_json([row.id, row.text, row.answer]) for row in data.questions)
    said = (canonical_json([row.id, to_wires(row.messages)]) for row in data.rows)
    return derive_id(*asked, *said)
