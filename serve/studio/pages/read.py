"""read."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from serve.studio.frame import frame
from serve.studio.studio import Studio


def register(studio: Studio) -> None:
    """Put the page on its path."""

    @ui.page("/read")
    def show(request: Request) -> None:
        with frame(request, studio, "read"):
            pass
