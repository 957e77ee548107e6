"""The studio in a real browser: a graph of 2,000 entities shown, and how long the page is deaf while somebody moves about in it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.errors import UserError
from samplers.config import GraphConfig
from samplers.graph.loader import load_graph
from scripts import looking
from scripts.bench.processes import Meter
from scripts.bench.table import Line
from scripts.bench.work import Scale
from serve.studio.ego import LARGEST
from serve.studio.finding import examples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ENTITIES = 10_000
"""Of the generated graph: around its better known ones more than can be shown."""
WATCH = "window.tasks = []; new PerformanceObserver(l => l.getEntries().forEach(e => tasks.push(e.duration))).observe({type: 'longtask'})"
"""The browser's own account of tasks of 50 ms and more on the main thread."""
CHART = "document.querySelector('.nicegui-echart')"
SHOWN = f"count => getElement(+{CHART}.id.slice(1)).chart.getOption()?.series[0]?.data?.length >= count"
NODE = f"""() => {{
    const box = {CHART}.getBoundingClientRect(), series = getElement(+{CHART}.id.slice(1)).chart.getModel().getSeriesByIndex(0)
    for (const place of series.getData().mapArray(Number.prototype.valueOf.bind(0)).keys()) {{
        const [x, y] = series.getData().getItemGraphicEl(place).transformCoordToGlobal(0, 0)
        if (x > 50 && y > 80 && x < box.width - 100 && y < box.height - 100) return [box.x + x, box.y + y]
    }}
}}"""
"""Where some entity is painted that is in sight."""
STEPS, PAUSE_MS = 12, 40
"""Moves of the pointer per gesture, at the pace of a hand."""
SETTLED_MS = 1000


def studio(scale: Scale) -> Iterator[Line]:
    """Shown within 3 s of the click, then no task over 200 ms; needs Debian's chromium and the extra `studio`."""
    with contextlib.ExitStack() as until_the_end:
        try:
            opened = until_the_end.enter_context(looking.browser())
        except UserError as error:
            print(f"the studio is not measured: {error}", file=sys.stderr)
            return
        yield from _looked_at(scale, opened)


def _looked_at(scale: Scale, opened: Browser) -> Iterator[Line]:
    shown = scale.pick(LARGEST, 50)
    settings = GraphConfig(source="generated", size=scale.pick(ENTITIES, 200), store=None)
    name = examples(load_graph(settings))[0]
    graph = ("graph=generated", f"graph.size={settings.size}", "graph.store=null")
    with looking.studio(*graph, f"runs={scale.folder / 'runs'}") as url:
        page = opened.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(f"{url}/explore?radius=5&size={shown}")
        page.get_by_role("status").wait_for()
        page.get_by_label("Entity", exact=True).fill(name)
        page.wait_for_timeout(SETTLED_MS)
        with Meter() as meter:
            begun = time.monotonic()
            page.get_by_role("button", name="Show", exact=True).click()
            page.wait_for_function(SHOWN, arg=min(shown, 50))
            seconds = time.monotonic() - begun
            page.wait_for_timeout(SETTLED_MS)
        count = page.evaluate(SHOWN.replace(">= count", "").replace("count =>", "() =>"))
        what = f"{count:,} entities shown after the click"
        yield Line(case="studio", what=f"{what}, wall", value=seconds, unit="s", most=3)
        yield Line(case="studio", what=f"{what}, CPU of server and browser", value=meter.seconds, unit="s")
        for gesture, move in _GESTURES.items():
            page.evaluate("tasks.length = 0")
            move(page, page.get_by_role("img", name="Graph"))
            page.wait_for_timeout(SETTLED_MS)
            longest = max(page.evaluate("tasks"), default=0.0)
            yield Line(case="studio", what=f"longest main-thread task while one {gesture}", value=longest, unit="ms", most=200)


def _hover(page: Page, chart: Locator) -> None:
    _along(page, chart)


def _zoom(page: Page, chart: Locator) -> None:
    _along(page, chart, steps=1)
    for _ in range(STEPS // 2):
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(2 * PAUSE_MS)


def _pan(page: Page, chart: Locator) -> None:
    box = chart.bounding_box()
    assert box
    page.mouse.move(box["x"] + 12, box["y"] + box["height"] - 12)
    page.mouse.down()
    _along(page, chart)
    page.mouse.up()


def _drag(page: Page, chart: Locator) -> None:
    page.mouse.move(*page.evaluate(NODE))
    page.mouse.down()
    _along(page, chart)
    page.mouse.up()


def _pick(page: Page, chart: Locator) -> None:
    page.mouse.click(*page.evaluate(NODE))


_GESTURES: dict[str, Callable[[Page, Locator], None]] = {
    "points around": _hover,
    "zooms": _zoom,
    "moves the picture": _pan,
    "drags an entity": _drag,
    "clicks on an entity": _pick,
}


def _along(page: Page, chart: Locator, steps: int = STEPS) -> None:
    """The pointer across the middle of the picture."""
    box = chart.bounding_box()
    assert box
    for step in range(steps):
        page.mouse.move(box["x"] + box["width"] * (0.3 + 0.4 * step / STEPS), box["y"] + box["height"] * (0.4 + 0.2 * step / STEPS))
        page.wait_for_timeout(PAUSE_MS)
