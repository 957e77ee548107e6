"""Where somebody gives tags to the questions found, or takes them away: the conditions of the page become a rule beside the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from nicegui import ui

from serve.runs.opened import OpenRun
from serve.runs.sets import QuestionSelection
from serve.runs.tags import TagRule
from serve.studio.frame import noted
from serve.studio.words import Words


class TagPanel:
    """The rules of a run, and a form for one more."""

    def __init__(
        self, words: Words, run: OpenRun, selection: QuestionSelection, found: int, changed: Callable[[bool], Awaitable[None]]
    ) -> None:
        """Args:
        selection: what the page shows, and what the rule is for.
        changed: called with True after a rule was written.
        """
        self._words, self._run, self._selection, self._found, self._changed = words, run, selection, found, changed

    def show(self) -> None:
        """Build it."""
        words = self._words
        ui.label(words("data.tag_title", count=f"{self._found:,}")).classes("studio-title").props("role=heading aria-level=2")
        with ui.row().classes("items-center read-mark-row"):
            self._tag = ui.input(words("data.tag_name"), placeholder="specialty:cardiology").classes("data-tag")
            self._tag.props("dense outlined maxlength=60")
            ui.button(words("data.tag_add"), on_click=lambda: self._write(True)).props("no-caps unelevated")
            ui.button(words("data.tag_remove"), on_click=lambda: self._write(False)).props("no-caps outline")
            ui.label(words("data.tag_told")).classes("studio-soft")
        ui.label(words("data.tag_by_model")).classes("studio-soft")
        ui.label(f"python -m scripts.tag input={self._run.path} tags=… llm=local llm.default.base_url=…").classes("studio-code")
        with noted():
            for rule in self._run.tags.read():
                ui.label(self._told(rule)).classes("studio-soft").props("data-test=rule")

    def _told(self, rule: TagRule) -> str:
        where = ", ".join(f"{name} {value}" for name, value in rule.where.items()) or self._words("data.every_question")
        if rule.ids:
            where = self._words("data.named", count=f"{len(rule.ids):,}", by=rule.by)
        return self._words("data.rule_adds" if rule.adds else "data.rule_takes", tag=rule.tag, where=where, when=rule.when[:10])

    async def _write(self, adds: bool) -> None:
        with noted():
            when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            rule = TagRule(tag=(self._tag.value or "").strip(), adds=adds, where=self._selection.query(), when=when)
            await asyncio.to_thread(self._run.tags.add, rule)
            await self._changed(True)
