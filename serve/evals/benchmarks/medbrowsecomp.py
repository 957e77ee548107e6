"""MedBrowseComp: five nested tasks about each clinical trial, from an ingredient to what its maker's share cost on the day of approval.

The published CSV hides every cell, its header's too: code points moved up by 3, then base64. Its columns are `prompt`, `gold` and the
task, under a name that differs between releases. The tasks of a trial build on each other, and trials of one ingredient share their
answers, so 50 questions are no more than ten observations: clusters are ingredients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType

import networkx as nx

from agents.answers import answers_match
from agents.curate.judge import Judgement, compare
from engine.errors import InputError
from samplers.records import Question
from serve.evals.benchmarks.benchmark import Benchmark, Gold, Loaded, Manifest, decided, question
from serve.evals.benchmarks.ciphers import unshift
from serve.evals.benchmarks.rows import Row, read_rows

NAME = "medbrowsecomp"
SHIFT = 3

MANIFEST = Manifest(
    title="MedBrowseComp",
    source="https://github.com/shan23chen/MedBrowseComp (data/*_cell_combo_shift3_b64.csv), "
    "https://huggingface.co/datasets/AIM-Harvard/MedBrowseComp",
    version="2025-05",
    licence="unverified: the repository has no licence file and its README names none; ask the authors before passing data on",
    paper="arXiv 2505.14963",
    sizes={"MedBrowseComp50": 50, "MedBrowseComp605": 605},
)

HOPS: Mapping[str, int] = MappingProxyType(
    {"Ingredient": 1, "Applicant_Full_Name": 2, "Patent_Expire_Date_Text": 3, "Exclusivity_Date": 4, "Open_on_Approval": 5}
)
"""Task → its place in the chain of five."""

PRICE_TOLERANCE = 0.01
"""Relative: quotes of one day differ in how they are adjusted and rounded."""

_TRIAL = re.compile(r"NCT\d{8}")
_LABEL = re.compile(r"^[A-Za-z][A-Za-z _-]{1,30}:\s*")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_MONTH_FIRST = ("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%m-%d-%Y", "%m/%d/%Y")
_OTHER = ("%Y-%m-%d", "%d %b %Y", "%d %B %Y")
_PRICE = re.compile(r"[^\d]*(\d[\d,]*(?:\.\d+)?)\D*")


def recognises(columns: frozenset[str]) -> bool:
    """With plain or hidden column names."""
    return {"prompt", "gold"} <= {_unhidden(name) for name in columns}


def read(path: Path) -> Loaded:
    """Questions in the file's order, clustered by ingredient."""
    rows = [Row(row.path, row.number, {_unhidden(name): value for name, value in row.values.items()}) for row in read_rows(path)]
    if rows and not {"prompt", "gold"} <= rows[0].values.keys():
        there = ", ".join(rows[0].values)[:200]
        raise InputError(path, f"has no columns prompt and gold, hidden or plain; it has {there}", "give the file as it was published")
    plain = [(_cell(row, "prompt"), _cell(row, "gold"), _task(row)) for row in rows]
    trials = [_trial(row, prompt) for row, (prompt, _, _) in zip(rows, plain, strict=True)]
    clusters = _clusters([(trial, gold) for trial, (_, gold, task) in zip(trials, plain, strict=True) if HOPS[task] == 1])
    return Loaded([_question(prompt, gold, task, trial, clusters) for (prompt, gold, task), trial in zip(plain, trials, strict=True)])


def score(given: str, gold: Gold) -> Judgement | None:
    """Dates, prices and UNKNOWN by rule; a drug or a company that differs as text may still be the same, which takes a judge."""
    said = _LABEL.sub("", given.strip()).strip()
    if answers_match(said, gold.answer, gold.aliases):
        return decided(True, "the same name")
    match next((tag.removeprefix("task:") for tag in gold.tags if tag.startswith("task:")), ""):
        case "Patent_Expire_Date_Text" if (wanted := _date(gold.answer)) is not None:
            return decided(set(_YEAR.findall(said)) == {str(wanted.year)}, f"the year of {gold.answer} is asked")
        case "Exclusivity_Date" if (wanted := _date(gold.answer)) is not None:
            return decided(_date(said) == wanted, f"{gold.answer} is asked to the day")
        case "Open_on_Approval":
            return decided(_same_price(said, gold.answer), f"{gold.answer} is asked, within {PRICE_TOLERANCE:.0%}")
    return compare(said, gold.answer, gold.aliases, closed=False)


def _question(prompt: str, gold: str, task: str, trial: str, clusters: Mapping[str, str]) -> Question:
    hops = HOPS[task]
    return question(
        NAME, prompt, gold, cluster=clusters.get(trial, trial), hops=hops, tags=(f"task:{task}", f"trial:{trial}", "specialty:oncology")
    )


def _unhidden(name: str) -> str:
    try:
        return unshift(name, SHIFT)
    except ValueError:
        return name


def _cell(row: Row, column: str) -> str:
    """A prompt has blanks and base64 has none, so a file that was decoded already is known by its prompts."""
    text = row.text(column)
    if " " in row.text("prompt"):
        found = text
    else:
        try:
            found = unshift(text, SHIFT)
        except ValueError as error:
            raise row.wrong(f"{column} is not hidden by base64 over a shift of {SHIFT} ({error})", "give the file as published") from None
    return found.strip().strip('"').replace("\\n", "\n").strip()


def _task(row: Row) -> str:
    """The value of the third column, whatever that column is called."""
    others = [name for name in row.values if name not in ("prompt", "gold")]
    found = [name for name in ((_cell(row, other) if row.maybe(other) else "") for other in others) if name.removesuffix("_prompt") in HOPS]
    if not found:
        raise row.wrong("names none of the five tasks", f"a column must hold one of {', '.join(HOPS)}")
    return found[0].removesuffix("_prompt")


def _trial(row: Row, prompt: str) -> str:
    found = _TRIAL.search(prompt)
    if found is None:
        raise row.wrong("its prompt names no trial (NCT and eight digits)", "give the file as published")
    return found.group()


def _clusters(ingredients: list[tuple[str, str]]) -> dict[str, str]:
    """Trial → the name of its cluster: trials that share an ingredient hang together, and so on."""
    shared = nx.Graph((f"trial {trial}", f"ingredient {gold.casefold()}") for trial, gold in ingredients)
    found: dict[str, str] = {}
    for members in nx.connected_components(shared):
        name = min(member for member in members if member.startswith("ingredient "))
        found |= {member.removeprefix("trial "): name for member in sorted(members) if member.startswith("trial ")}
    return found


def _date(text: str) -> date | None:
    cleaned = re.sub(r"\s+", " ", text.replace(".", "")).strip()
    for form in (*_MONTH_FIRST, *_OTHER):
        try:
            return datetime.strptime(cleaned, form).date()
        except ValueError:
            continue
    return None


def _same_price(given: str, gold: str) -> bool:
    said, wanted = _PRICE.fullmatch(given), _PRICE.fullmatch(gold)
    if said is None or wanted is None:
        return False
    price, right = (float(found.group(1).replace(",", "")) for found in (said, wanted))
    return abs(price - right) <= PRICE_TOLERANCE * right


MEDBROWSECOMP = Benchmark(
    name=NAME, manifest=MANIFEST, recognises=recognises, read=read, score=score, style="medbrowsecomp",
)  # fmt: skip
