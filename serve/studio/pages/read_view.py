"""A trajectory on the page Read: what was said, what became of it, the question's proof, and where people mark it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from nicegui import ui

from agents.curate.verdict import Verdict
from agents.guidance.path import masked_path
from agents.records import Trajectory
from samplers.records import Question
from serve.runs.marks import MOST_NOTE, Mark, MarkBook
from serve.runs.reading import path_in_words
from serve.runs.rows import ACCEPTED
from serve.studio.conversation import Block, BlockKind, blocks
from serve.studio.frame import noted
from serve.studio.posing import clues
from serve.studio.words import Words

FOLDED = 700
"""Characters of a result beyond which only the beginning is shown."""
SHOWN = 400
"""Characters of that beginning."""


def show_conversation(words: Words, trajectory: Trajectory) -> None:
    """Everything that was said. Texts stand in labels, which show markup as text."""
    for block in blocks(trajectory):
        if block.kind is BlockKind.SYSTEM:
            with (
                ui.expansion(words("read.system"), caption=words("read.characters", count=f"{len(block.text):,}"))
                .classes("read-system")
                .props("dense")
            ):
                ui.label(block.text).classes("studio-code")
        else:
            _show_block(words, block)


def _show_block(words: Words, block: Block) -> None:
    with ui.column().classes(f"read-block read-{block.kind.value}"):
        if block.kind is BlockKind.CALL:
            with ui.row().classes("read-call-head items-center"):
                ui.label(block.tool).classes("read-tool")
                if block.fault:
                    end = words("read.recovered") if block.fault.recovered else words("read.not_recovered")
                    ui.label(words("read.struck", kind=block.fault.kind.value.replace("_", " "), end=end)).classes("read-fault")
            if block.text:
                ui.label(block.text).classes("studio-code")
            return
        if block.kind in (BlockKind.RESULT, BlockKind.ERROR):
            head = words("read.result_of" if block.kind is BlockKind.RESULT else "read.error_of", tool=block.tool or "?")
            ui.label(head + (f" · {words('read.on_tape', digest=block.seen)}" if block.seen else "")).classes("read-who")
            _show_folded(words, block.text)
            return
        ui.label(words(f"read.who_{block.kind.value}")).classes("read-who")
        ui.label(block.text).classes("read-text")


def _show_folded(words: Words, text: str) -> None:
    """The whole of a long text is sent only when it is asked for."""
    if len(text) <= FOLDED:
        ui.label(text).classes("studio-code")
        return
    shown = ui.label(text[:SHOWN].rstrip() + " …").classes("studio-code")

    def unfold() -> None:
        shown.text = text
        button.delete()

    button = (
        ui.button(words("read.show_all", count=f"{len(text):,}"), on_click=unfold)
        .props("flat dense no-caps size=sm")
        .classes("read-unfold")
    )


def show_verdict(words: Words, trajectory: Trajectory, line: Mapping[str, Any], question: Question | None) -> None:
    """What became of it. `line`: its line of the index."""
    outcome, usage = str(line["outcome"]), trajectory.usage
    with ui.row().classes("items-center read-chips"):
        ui.label(words(f"read.outcome_{outcome}")).classes(f"read-chip read-chip-{outcome}")
        if line["fate"]:
            fate = (
                words("read.fate_accepted") if line["fate"] == ACCEPTED else words("read.rejected_as", cause=line["fate"].replace("_", " "))
            )
            ui.label(fate).classes(f"read-chip read-chip-{'right' if line['fate'] == ACCEPTED else 'wrong'}")
    also = f" ({words('read.also', names=', '.join(trajectory.answer_aliases))})" if trajectory.answer_aliases else ""
    facts = {
        "given": trajectory.final_answer or words("read.no_answer"),
        "gold": trajectory.answer + also,
        "judged": line["judged"] or (words("read.not_judged") if outcome == Verdict.UNKNOWN else ""),
        "detail": line["detail"],
        "stopped": trajectory.stop_reason.value.replace("_", " "),
        "calls": words("read.calls_told", calls=f"{usage.tool_calls:,}", errors=f"{usage.tool_errors:,}"),
        "usage": _usage(words, trajectory),
        "tokens": f"{line['tokens']:,}" if line["tokens"] is not None else "",
        "policy": words("read.policy_told", policy=trajectory.policy, rollout=trajectory.rollout),
        "guidance": _guidance(words, trajectory, question),
        "faults": "\n".join(_faults(words, trajectory)),
        "tags": ", ".join(line["tags"] or ()),
    }
    with ui.element("dl").classes("read-facts"):
        for name, text in facts.items():
            if text:
                with ui.element("dt"):
                    ui.label(words(f"read.{name}"))
                with ui.element("dd"):
                    ui.label(text)


def _usage(words: Words, trajectory: Trajectory) -> str:
    usage = trajectory.usage
    if not usage.model_calls:
        return ""
    spent = {"prompt": f"{usage.prompt_tokens:,}", "completion": f"{usage.completion_tokens:,}"}
    return words("read.usage_told", calls=f"{usage.model_calls:,}", **spent)


def _guidance(words: Words, trajectory: Trajectory, question: Question | None) -> str:
    """The level, and the masked path that the agent was shown: it stands in no message, and follows from the question."""
    if trajectory.guidance_skipped:
        return words("read.skipped", why=trajectory.guidance_skipped.value.replace("_", " "))
    if trajectory.guidance == "none":
        return ""
    path = masked_path(question, trajectory.guidance) if question else ""
    return trajectory.guidance.value.replace("_", " ") + (f"\n{path}" if path else "")


def _faults(words: Words, trajectory: Trajectory) -> list[str]:
    ends = {True: words("read.recovered"), False: words("read.not_recovered")}
    return [f"{fault.kind.value.replace('_', ' ')} · {fault.tool} · {ends[fault.recovered]}" for fault in trajectory.faults]


def show_proof(words: Words, trajectory: Trajectory, question: Question | None) -> None:
    """The path in words, and what each clue of the query rules out."""
    ui.label(words("read.proof")).classes("studio-title")
    facts = [trajectory.paradigm, words("read.hops_told", hops=trajectory.hops)]
    facts += [words("read.difficulty_told", difficulty=f"{question.difficulty:.2f}")] if question else []
    ui.label(" · ".join(facts)).classes("studio-soft")
    if question is None or question.certificate is None:
        ui.label(words("read.no_proof")).classes("studio-soft")
        return
    with ui.element("ol").classes("read-path"):
        for step in path_in_words(question):
            with ui.element("li"):
                ui.label(step)
    for _, parts in clues(question):
        with ui.element("div").classes("read-clues"):
            for clue in parts:
                ui.label(clue.text).classes("studio-code")
                key = "read.left_or_more" if clue.capped else "read.left"
                ui.label(words(key, count=f"{clue.left:,}")).classes("studio-soft read-left")
    proof = question.certificate
    ui.label(words(f"read.world_{proof.world.value}", facts=len(proof.evidence))).classes("studio-soft")


class MarkPanel:
    """Where somebody accepts, rejects and comments the trajectory that is shown."""

    def __init__(
        self, words: Words, book: MarkBook, reviewer: str, named: Callable[[str], None], said: Callable[[], Awaitable[None]]
    ) -> None:
        """Args:
        named: told of the reviewer's name.
        said: called after each mark.
        """
        self._words, self._book, self._said, self._row = words, book, said, ""
        self._accepted: bool | None = None
        with ui.column().classes("studio-panel read-marking"):
            with ui.row().classes("items-center read-mark-row"):
                ui.label(words("read.your_mark")).classes("studio-title")
                ui.space()
                self._reviewer = ui.input(words("read.reviewer"), value=reviewer, on_change=lambda event: self._name(named, event.value))
                self._reviewer.props("dense outlined maxlength=40 debounce=300").classes("read-reviewer")
            with ui.row().classes("read-mark-row"):
                self._accept = self._button("read.accept", "check", True)
                self._reject = self._button("read.reject", "close", False)
                ui.space()
                self._undo = ui.button(words("read.undo"), on_click=lambda: self._mark(None)).props("no-caps flat dense")
                ui.button(words("read.save_note"), on_click=self._keep_note).props("no-caps flat dense")
            self._note = ui.textarea(words("read.note")).props(f"dense outlined autogrow maxlength={MOST_NOTE}").classes("read-note")
            self._note.on("keydown.ctrl.enter", self._keep_note)
            self._others = ui.column().classes("read-others").props("data-test=marks")

    def _button(self, key: str, icon: str, accepted: bool) -> ui.button:
        return ui.button(self._words(key), icon=icon, on_click=lambda: self._mark(accepted)).props("no-caps unelevated dense")

    def show(self, row: str) -> None:
        """Turn to another trajectory; "" is none."""
        self._row = row
        with noted():
            mine, others = self._of_row()
            self._accepted = mine.accepted if mine else None
            self._note.value = mine.note if mine else ""
            self._paint(bool(mine), others)

    def _of_row(self) -> tuple[Mark | None, list[Mark]]:
        marked = self._book.read().get(self._row)
        marks = marked.marks if marked else []
        mine = next((mark for mark in marks if mark.reviewer == self._reviewer.value), None)
        return mine, [mark for mark in marks if mark is not mine]

    def _paint(self, any_mine: bool, others: list[Mark]) -> None:
        for button, kind, colour in ((self._accept, True, "positive"), (self._reject, False, "negative")):
            pressed = self._accepted is kind
            button.props(
                f"color={colour if pressed else 'grey-4'} text-color={'white' if pressed else 'black'} aria-pressed={str(pressed).lower()}"
            )
            button.enabled = bool(self._row)
        self._undo.visible = any_mine
        self._others.clear()
        with self._others:
            for mark in others:
                said = self._words({True: "read.mark_accepted", False: "read.mark_rejected", None: "read.mark_noted"}[mark.accepted])
                ui.label(f"{mark.reviewer}: {said}" + (f" – {mark.note}" if mark.note else "")).classes("studio-soft")

    def _name(self, named: Callable[[str], None], value: str) -> None:
        named((value or "").strip())
        self.show(self._row)

    async def _keep_note(self) -> None:
        await self._mark(self._accepted, keep_note=True)

    async def _mark(self, accepted: bool | None, keep_note: bool = False) -> None:
        """Append the mark. Undo takes the note back too."""
        if not self._row:
            return
        note = (self._note.value or "").strip() if accepted is not None or keep_note else ""
        with noted():
            when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            mark = Mark(trajectory_id=self._row, reviewer=(self._reviewer.value or "").strip(), accepted=accepted, note=note, when=when)
            await asyncio.to_thread(self._book.add, mark)
            self.show(self._row)
            ui.notify(self._words("read.marked"), type="positive", timeout=1200)
            await self._said()
