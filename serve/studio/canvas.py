"""The element that draws a graph, and tells which entity was clicked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

PATIENCE_S = 30.0
"""For a browser that is busy with something else."""
BACK = "window.addEventListener('popstate', () => location.reload())"
"""For pages that change their own address as they draw: going back means reading the page anew."""


class Canvas:
    """An ECharts graph. Its data goes to the chart itself, not through the page's reactive state, where thousands of entities stutter."""

    def __init__(self, name: str, on_pick: Callable[[int], Awaitable[None]]) -> None:
        """Args: on_pick: told the `id` of a clicked node."""
        self._on_pick, self._order = on_pick, list[int]()
        self.chart = ui.echart({"series": []}).classes("explore-canvas").props("role=img")
        self.chart.props["aria-label"] = name
        self.chart.on("componentClick", self._clicked, ["dataType", "dataIndex"])

    async def draw(self, options: dict[str, Any]) -> None:
        """Replace the picture, as soon as the browser has made the chart."""
        find = f"const chart = () => getElement({self.chart.id})?.chart"
        look = "return new Promise(done => { const look = () => chart() ? done(true) : setTimeout(look, 20); look() })"
        try:
            await ui.run_javascript(f"{find}; {look}", timeout=PATIENCE_S)
        except TimeoutError:
            return  # nobody looks any more
        self._order = [int(item["id"]) for item in options["series"][0]["data"]]
        self.chart.run_chart_method("setOption", options, True)

    def clear(self) -> None:
        """Nothing is shown."""
        self.chart.run_chart_method("clear")

    def pick(self, place: int) -> None:
        """Mark a node as a click does."""
        self.chart.run_chart_method("dispatchAction", {"type": "select", "seriesIndex": 0, "dataIndex": self._order.index(place)})

    async def _clicked(self, event: GenericEventArguments) -> None:
        if event.args.get("dataType") == "node":
            await self._on_pick(self._order[int(event.args["dataIndex"])])
