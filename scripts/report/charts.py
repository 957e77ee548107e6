"""Charts as inline SVG and plain HTML: no script, colours from the page's style sheet, so light and dark both work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scripts.report.markup import Html, join, tag
from serve.runs.timeline import Line

WIDTH, HEIGHT = 520, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 26
"""Margins of the plot inside the picture: room for tick labels."""

COLOURS = 6
"""Of the style sheet, `c0` to `c5`; a seventh line starts again."""

WIDEST = 56
"""Of a histogram's columns, so that few values do not look like many."""

BINS = 14
"""Columns of a histogram at most: their labels stay readable on a phone."""


def line_chart(title: str, unit: str, lines: Sequence[Line], borders: Sequence[float] = ()) -> Html:
    """Lines over working time. `borders` are moments at which a leg of the run began."""
    known = [(x, y) for line in lines for x, y in line.points if y is not None]
    if not known:
        return figure(title, tag("p", "nothing was measured", class_="muted"))
    x_ticks, y_ticks = ticks(max(x for x, _ in known), 6), ticks(max(y for _, y in known), 4)
    x_scale, y_scale = (WIDTH - LEFT - RIGHT) / (x_ticks[-1] or 1.0), (HEIGHT - TOP - BOTTOM) / (y_ticks[-1] or 1.0)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x * x_scale, HEIGHT - BOTTOM - y * y_scale

    drawn = [_frame(x_ticks, y_ticks, place(0, 0), x_scale, y_scale)]
    drawn += [tag("path", d=f"M{place(x, 0)[0]:.1f} {TOP}V{HEIGHT - BOTTOM}", class_="border") for x in borders if 0 < x < x_ticks[-1]]
    for number, line in enumerate(lines):
        drawn.append(
            tag("path", d=_path([(None if y is None else place(x, y)) for x, y in line.points]), class_=f"line c{number % COLOURS}")
        )
    picture = tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=f"{title}, {unit} over working time")
    names = [tag("span", tag("i", class_=f"key c{number % COLOURS}"), line.name) for number, line in enumerate(lines)]
    return figure(f"{title}, {unit}", picture, tag("p", *names, class_="legend") if len(lines) > 1 else Html(""))


def columns(title: str, values: Sequence[tuple[str, int]]) -> Html:
    """A histogram: one column per value, its count above it."""
    most, step = max((count for _, count in values), default=0) or 1, (WIDTH - 2 * RIGHT) / max(1, len(values))
    wide, drawn = min(0.8 * step, WIDEST), []
    for number, (label, count) in enumerate(values):
        height = (HEIGHT - 2 * BOTTOM) * count / most
        x, y = RIGHT + number * step + step / 2, HEIGHT - BOTTOM - height
        drawn.append(tag("rect", tag("title", f"{label}: {count:,}"), x=x - wide / 2, y=y, width=wide, height=height, class_="column"))
        drawn.append(tag("text", label, x=x, y=HEIGHT - 8, text_anchor="middle"))
        if count:
            drawn.append(tag("text", short(count), x=x, y=y - 5, text_anchor="middle", class_="count"))
    return figure(title, tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title))


def bars(title: str, values: Mapping[str, int], most: int = 10, total: int | None = None) -> Html:
    """Horizontal bars, the most frequent first; what is beyond `most` is summed up in a line."""
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    whole, longest = total or sum(values.values()) or 1, ranked[0][1] if ranked else 1
    lines = [_bar(name, count, count / longest, f"{count:,}", f"{100 * count / whole:.0f} %") for name, count in ranked[:most]]
    rest = ranked[most:]
    told = tag("p", f"and {len(rest):,} more with {sum(count for _, count in rest):,}", class_="muted") if rest else Html("")
    return figure(title, tag("ul", *lines, class_="bars") if lines else tag("p", "none", class_="muted"), told)


def stacked(parts: Sequence[tuple[str, int]], whole: int) -> Html:
    """One bar of named parts, as wide as their share of `whole`. The names are classes of the style sheet."""
    shown = [(name, count) for name, count in parts if count]
    pieces = [
        tag("span", class_=f"part {name}", style=f"width:{100 * count / max(1, whole):.2f}%", title=f"{count:,} {name}")
        for name, count in shown
    ]
    return tag("div", *pieces, class_="stacked", role="img", aria_label=", ".join(f"{count:,} {name}" for name, count in shown))


def figure(title: str, *inside: Html) -> Html:
    """A chart with its heading."""
    return tag("figure", tag("figcaption", title), *inside)


def binned(values: Sequence[int]) -> list[tuple[str, int]]:
    """Whole numbers → (label, count) for `columns`, in at most `BINS` bins of equal, round width."""
    if not values:
        return []
    low, high = min(values), max(values)
    width = max(1, math.ceil(_round_up((high - low + 1) / BINS)))
    first = low // width
    counts = [0] * (high // width - first + 1)
    for value in values:
        counts[value // width - first] += 1
    return [(short((first + number) * width), count) for number, count in enumerate(counts)]


def ticks(most: float, count: int) -> list[float]:
    """Round numbers from 0 to at least `most`, about `count` of them."""
    step = _round_up(most / count) if most > 0 else 1.0
    return [number * step for number in range(math.ceil(most / step - 1e-9) + 1)] if most > 0 else [0.0, 1.0]


def short(value: float) -> str:
    """A number for a tick: `950`, `1.2k`, `3M`, `0.05`."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= limit:
            unit = 1e3 if letter == "k" else limit
            return f"{value / unit:.3g}{letter}"
    return f"{value:.4g}"


def clock(seconds: float) -> str:
    """A duration for a tick: `40 s`, `3:20`, `2 h 05`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g} s"
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d}"


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(float(digit * power) for digit in (1, 2, 2.5, 5, 10) if digit * power >= value * (1 - 1e-9))


def _bar(name: str, count: int, share: float, *told: str) -> Html:
    fill = tag("span", class_="fill", style=f"width:{100 * share:.2f}%")
    return tag(
        "li",
        tag("span", name, class_="name", title=name),
        tag("span", fill, class_="track"),
        *(tag("span", text, class_="number") for text in told),
    )


def _frame(x_ticks: Sequence[float], y_ticks: Sequence[float], origin: tuple[float, float], x_scale: float, y_scale: float) -> Html:
    left, bottom = origin
    drawn = []
    for value in y_ticks:
        y = bottom - value * y_scale
        drawn += [
            tag("path", d=f"M{left} {y:.1f}H{WIDTH - RIGHT}", class_="grid"),
            tag("text", short(value), x=left - 6, y=y + 4, text_anchor="end"),
        ]
    for value in x_ticks:
        x = left + value * x_scale
        anchor = "end" if value == x_ticks[-1] else "middle"
        drawn.append(tag("text", clock(value), x=x, y=HEIGHT - 8, text_anchor=anchor))
    return join(drawn)


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    """An SVG path that starts anew after each gap; a point alone is drawn as a dot."""
    parts, drawing = [], False
    for place in places:
        if place is None:
            drawing = False
            continue
        parts.append(f"{'L' if drawing else 'M'}{place[0]:.1f} {place[1]:.1f}" + ("" if drawing else "h0"))
        drawing = True
    return "".join(parts)
