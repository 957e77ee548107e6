"""Have a model tag the questions of a run, from a list of tags; what it says becomes rules beside the rows (`tags/` in the run directory).

    python -m scripts.tag input=runs/demo tags='specialty:cardiology,specialty:neurology' \\
        llm=local llm.default.base_url=http://127.0.0.1:8000/v1
    python -m scripts.tag input=runs/demo tags='level:student,level:expert' about='Whom would it be asked in an exam?' \\
        llm=openai llm.default.model=…

The model is role judge; limits.* and tape.* hold as everywhere, and the same command goes on where it stopped. Work is kept in run.dir,
by default runs/tag-NAME. Committed rows stay as they are; the studio and its exports show the tags.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hydra import compose, initialize_config_dir

from engine.errors import ConfigError, InputError, UserError
from engine.ledger import Ledger
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegSettings, run_leg
from engine.pipeline.session import in_ray_job, ray_session
from engine.records import derive_id
from engine.storage import Storage
from scripts.arguments import parse_arguments
from scripts.funnel import make_console
from scripts.models import open_models
from scripts.settings import CONF, check_overrides, claim_settings, read_settings, resolve_run_dir
from serve.runs.questions import QuestionIndex
from serve.runs.reading import open_run
from serve.runs.tagging import Tagged, TagStage
from serve.runs.tags import TagBook, TagRule, check_tag

OWN = ("input", "tags", "about")
"""Keys of this command; all others are keys of conf/."""
ROLE = "judge"


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.tag", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", required=True, help="the run directory whose questions are tagged")
    parser.add_argument("--tags", required=True, help="the tags that may be named, separated by commas")
    parser.add_argument("--about", default="", help="what else the model is told, in a sentence")
    own = [argument for argument in arguments if argument.startswith("-") or argument.partition("=")[0] in OWN]
    options = parse_arguments(parser, own)
    try:
        for line in tag(options.input, _split(options.tags), options.about, [each for each in arguments if each not in own]):
            print(line)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def tag(source: str, tags: Sequence[str], about: str, overrides: Sequence[str]) -> list[str]:
    """Ask for every question, and write the rules; what is to be said of it.

    Raises:
        UserError: no questions, a tag that is none, a wrong setting, or nobody answers.
    """
    storage, _ = open_run(source)
    index = QuestionIndex(Path(source))
    table = index.read()
    questions = index.pick(table["id"].to_pylist()) if len(table) else []
    if not questions:
        raise InputError(source, "holds no questions", "give the run directory of scripts.synthesize")
    keys = [f"run.name=tag-{re.sub(r'[^A-Za-z0-9._-]+', '-', Path(source).resolve().name)}", *overrides]
    check_overrides(keys, "synthesize")
    with initialize_config_dir(str(CONF), version_base=None):
        settings, values = read_settings(compose("synthesize", keys))
    work = Storage(resolve_run_dir(settings, values, in_ray_job(), in_sweep=False))
    models = open_models(settings, work, [ROLE])
    digest = derive_id(*(row.id for row in questions))
    known = {
        **values,
        "tags": list(tags),
        "about": about,
        "input_hash": digest,
        "fingerprints": dict(models.fingerprints),
        "graph_hash": "",
    }
    claim_settings(work, known)
    with ray_session(settings.pipeline):
        factory = models.limited().factory(ROLE, TagStage.name)
        if factory is None:
            raise ConfigError("llm", "no model is set", "add llm=local llm.default.base_url=…")
        leg = LegSettings(settings.run, settings.pipeline, Ledger(work), make_console())
        ended = run_leg(questions, [StagePlan(TagStage(tags, about, factory), settings.pools.curate, "tagged")], leg)
    said = ended.rows(TagStage.name, Tagged)
    rules = rules_of(said, tags, settings.llm.role(ROLE).model)
    book = TagBook(storage)
    written = [_bare(rule) for rule in book.read()]
    for rule in rules:
        if _bare(rule) not in written:
            book.add(rule)
    lost = len(ended.rejections()), len(ended.failures())
    told = [f"{rule.tag}: {len(rule.ids)} questions" for rule in rules]
    return [f"{len(said)} of {len(questions)} questions tagged, {lost[0]} rejected, {lost[1]} failed", *told]


def rules_of(said: Sequence[Tagged], tags: Sequence[str], model: str) -> list[TagRule]:
    """A rule per tag that fits some question."""
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = {each: tuple(sorted(row.question_id for row in said if each in row.tags)) for each in tags}
    return [TagRule(tag=each, adds=True, ids=ids, by=model, when=when) for each, ids in named.items() if ids]


def _bare(rule: TagRule) -> TagRule:
    """Without its moment: the same command writes nothing twice."""
    return dataclasses.replace(rule, when="")


def _split(text: str) -> list[str]:
    """Raises: InputError: one of the tags is none."""
    tags = list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    if not tags:
        raise InputError("tags", "names no tag", "give some, separated by commas")
    for each in tags:
        check_tag(each)
    return tags


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
