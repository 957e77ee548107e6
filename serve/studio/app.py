"""The studio as one ASGI application: its pages on NiceGUI, behind the door."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from nicegui import app as gui
from nicegui import ui
from starlette.types import ASGIApp

from serve.studio.frame import PAGES, fault
from serve.studio.guard import StudioDoor, StudioGuard
from serve.studio.pages import ask, data, explore, read, run, scores
from serve.studio.studio import Studio
from serve.studio.words import COOKIE, LANGUAGES, Words

_YEAR_S = 365 * 24 * 3600


def build(studio: Studio) -> ASGIApp:
    """The application. One per process: NiceGUI keeps its pages globally.

    Raises:
        ConfigError: see `StudioDoor.of`.
    """
    door = StudioDoor.of(studio.config)
    for page in (explore, ask, run, read, data, scores):
        page.register(studio)
    gui.on_page_exception(lambda error: fault(error, Words("en")))
    server = FastAPI(openapi_url=None)
    server.get("/language/{language}")(_speak)
    ui.run_with(server, title="HopForge Studio", favicon="⚒", dark=False, show_welcome_message=False)
    return StudioGuard(server, door)


def _speak(language: str, back: str = "") -> RedirectResponse:
    """Remember a language in a cookie, and go back to the page."""
    answer = RedirectResponse(f"/{back if back in PAGES else ''}", 303)
    if language in LANGUAGES:
        answer.set_cookie(COOKIE, language, max_age=_YEAR_S, httponly=True, samesite="strict")
    return answer
