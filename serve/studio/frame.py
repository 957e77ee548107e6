"""What all pages share: the header with the way to the other pages, the language, and how an error is shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import Request
from nicegui import ui

from engine.errors import UserError
from serve.studio.studio import Studio
from serve.studio.words import COOKIE, Words, choose

PAGES = ("explore", "ask", "run", "read", "data", "scores")
"""In the order in which people work; `explore` is the first page too."""
IN_PLACE = "event => { event.preventDefault(); fetch(event.currentTarget.href).then(() => location.reload()) }"
"""The language changes and the address, with all that is shown, stays."""
_log = logging.getLogger(__name__)


def words_of(request: Request, studio: Studio) -> Words:
    """The language of whoever asks."""
    return choose(studio.config.language, request.cookies.get(COOKIE), request.headers.get("accept-language", ""))


@contextmanager
def frame(request: Request, studio: Studio, page: str) -> Iterator[Words]:
    """A page: put its elements inside. Gives the words of the reader's language."""
    words = words_of(request, studio)
    ui.page_title(f"{words(f'studio.{page}')} · {words('studio.title')}")
    ui.add_css(Path(__file__).with_name("studio.css"))
    ui.colors(primary="#245e8f", secondary="#4b6a58", accent="#a35a00", positive="#2e7d32", negative="#b3261e", warning="#a35a00")
    with ui.header().classes("studio-header items-center"):
        ui.link(words("studio.title"), "/").classes("studio-name")
        with ui.row().classes("studio-nav").props("role=navigation"):
            for name in PAGES:
                link = ui.link(words(f"studio.{name}"), f"/{name}").mark(f"nav-{name}")
                if name == page:
                    link.classes("here").props("aria-current=page")
        ui.space()
        speak = ui.link(words("studio.other_language"), f"/language/{'en' if words.language == 'zh' else 'zh'}?back={page}")
        speak.on("click", js_handler=IN_PLACE)
    with ui.column().classes("studio-page"), told():
        yield words


@contextmanager
def told() -> Iterator[None]:
    """What a user can mend is told on the page, in the words of its error: file or key, what is wrong, and the remedy."""
    try:
        yield
    except UserError as error:
        ui.label(str(error)).classes("studio-error").props("role=alert").mark("error")


@contextmanager
def noted() -> Iterator[None]:
    """The same for what a click did: the page stays, a note comes up."""
    try:
        yield
    except UserError as error:
        ui.notify(str(error), type="negative", multi_line=True, timeout=0, close_button="×")


def fault(error: Exception, words: Words) -> None:
    """The page of an error that nobody foresaw: the details go to the terminal, not to the browser."""
    _log.error("a page failed", exc_info=error)
    with ui.column().classes("studio-page"):
        ui.label(words("studio.fault")).classes("studio-error").props("role=alert").mark("error")
        ui.link(words("studio.back"), "/")
