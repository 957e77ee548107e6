"""Explore in a real browser: from a name or a file to a drawn subgraph, state in the address, names that are text and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from scripts import looking

EVIL = "<img src=x onerror=window.stolen=1>"
NODE = """([chart, name]) => {
    const data = getElement(+chart.id.slice(1)).chart.getModel().getSeriesByIndex(0).getData()
    const at = data.getItemGraphicEl(data.indexOfName(name)).transformCoordToGlobal(0, 0), box = chart.getBoundingClientRect()
    return [box.x + at[0], box.y + at[1]]
}"""
"""Where on the page the node of that name is painted."""
LOOK = "chart => getElement(+chart.id.slice(1)).chart.getOption().series[0]"


def drawn(page: Page) -> Locator:
    chart = page.get_by_role("img", name="Graph")
    expect(page.get_by_role("status").first).to_contain_text("pairs joined")
    page.wait_for_function("chart => getElement(+chart.id.slice(1)).chart.getOption()?.series[0]?.data", arg=chart.element_handle())
    return chart


def test_from_a_name_to_its_graph_its_facts_and_a_subgraph(studio: str, page: Page) -> None:
    page.goto(f"{studio}/explore")
    seed = page.get_by_label("Entity", exact=True)
    seed.press_sequentially("imat")
    expect(page.locator("datalist option").first).to_have_attribute("value", "imatinib")
    seed.fill("Gleevec")
    seed.press("Enter")
    chart = drawn(page)
    expect(page.get_by_role("heading", name="imatinib")).to_be_visible()
    expect(page.get_by_text("also called")).to_be_visible()
    page.get_by_role("button", name="Draw subgraph").click()
    expect(page.get_by_text("Drawn by")).to_be_visible()
    page.wait_for_function(f"chart => ({LOOK})(chart).links.some(link => link.lineStyle?.width == 3)", arg=chart.element_handle())
    shown = [item["name"] for item in chart.evaluate(LOOK)["data"] if item.get("label", {}).get("show")]
    assert len(shown) == 8 and "imatinib" in shown
    other = next(name for name in shown if name != "imatinib")
    page.mouse.click(*chart.evaluate(f"(chart, name) => ({NODE})([chart, name])", other))
    expect(page.get_by_role("heading", name=other)).to_be_visible()

    page.wait_for_url("**/explore?seed=Gleevec&at=*&draw=0")
    page.reload()
    drawn(page)
    expect(page.get_by_role("heading", name=other)).to_be_visible()
    page.get_by_role("button", name="Centre here").click()
    expect(page.get_by_label("Entity", exact=True)).to_have_value(other)
    expect(page.get_by_text("Drawn by")).to_have_count(0)
    page.go_back()
    drawn(page)
    expect(page.get_by_label("Entity", exact=True)).to_have_value("Gleevec")


def test_moving_about_in_a_large_graph_is_far_cheaper_than_drawing_it(studio: str, page: Page) -> None:
    watch = (
        "window.tasks = []; new PerformanceObserver(l => l.getEntries().forEach(e => tasks.push(e.duration))).observe({type: 'longtask'})"
    )
    page.goto(f"{studio}/explore?radius=5&size=2000")
    expect(page.get_by_role("status")).to_be_visible()
    page.evaluate(watch)
    page.get_by_label("Entity", exact=True).fill("liver")
    page.get_by_role("button", name="Show", exact=True).click()
    chart = drawn(page)
    look = chart.evaluate(LOOK)
    assert len(look["data"]) > 1000 and look["layout"] == "none" and sum("label" in item for item in look["data"]) < 20
    page.wait_for_timeout(500)
    drawing = max(page.evaluate("tasks"))
    page.evaluate("tasks.length = 0")
    for step in range(5):
        page.mouse.move(500 + 20 * step, 400)
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(100)
    moves = sorted(page.evaluate("tasks")) or [0]
    assert moves[len(moves) // 2] < drawing


def test_a_name_that_nobody_bears_is_told_with_the_nearest_ones(studio: str, page: Page) -> None:
    page.goto(f"{studio}/explore?seed=imatinip")
    expect(page.get_by_role("status")).to_contain_text("no entity is called 'imatinip'")
    page.get_by_role("link", name="imatinib").click()
    drawn(page)


def test_uploaded_seeds_are_listed_with_what_is_known(studio: str, page: Page) -> None:
    page.goto(f"{studio}/explore")
    expect(page.get_by_role("link", name="liver")).to_be_visible()
    give(page, "mine.csv", b"entity\nimatinib\nno such thing\n")
    expect(page.get_by_text("1 of 2 seeds are in the graph")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="Run them all")).to_have_attribute("href", page.url.split("?")[1].join(["/run?", ""]))
    page.get_by_role("button", name="imatinib").click()
    drawn(page)
    expect(page.get_by_text("1 of 2 seeds are in the graph")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [("a.csv", b"x\ty\n1\t2\n", "a.csv, line 1: has no column"), ("../../a.json", b"{", "a.json, line 1: is not JSON")],
)
def test_a_file_that_is_none_of_seeds_is_told_in_words(studio: str, page: Page, name: str, content: bytes, told: str) -> None:
    page.goto(f"{studio}/explore")
    expect(page.get_by_role("link", name="liver")).to_be_visible()
    give(page, name, content)
    expect(page.get_by_role("alert")).to_contain_text(told)
    assert "seeds=" not in page.url


def give(page: Page, name: str, content: bytes) -> None:
    page.locator("input[type=file]").set_input_files(FilePayload(name=name, mimeType="text/plain", buffer=content))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio on a graph whose names are markup."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [f"e:{number}\t{EVIL if number == 0 else f'thing {number}'}\tThing\t{EVIL}\t{EVIL}" for number in range(6)]
    (folder / "nodes.tsv").write_text("\n".join(["id\tname\tkind\tsource\taliases", *rows]) + "\n")
    edges = [f"e:{one}\tjoins\te:{other}\t{EVIL}" for one in range(6) for other in range(one)]
    (folder / "edges.tsv").write_text("\n".join(["source\trelation\ttarget\tprovenance", *edges]) + "\n")
    with looking.studio("graph=path", f"graph.path={folder}", "graph.schema=infer", f"runs={folder / 'runs'}", "max_upload_mb=1") as url:
        yield url


def test_names_that_are_markup_are_shown_as_text(hostile: str, page: Page) -> None:
    page.goto(f"{hostile}/explore?seed={EVIL.replace(' ', '%20')}&draw=0&nodes=4")
    chart = drawn(page)
    expect(page.get_by_role("heading", name=EVIL)).to_be_visible()
    page.mouse.move(*chart.evaluate(f"(chart, name) => ({NODE})([chart, name])", EVIL))
    expect(chart.locator("div").filter(has_text=EVIL).last).to_be_visible()  # the tooltip
    assert page.locator("img").count() == 0 and page.evaluate("window.stolen") is None
    page.get_by_label("Entity", exact=True).fill("img")
    expect(page.locator("datalist option").first).to_have_attribute("value", EVIL)
    page.goto(f"{hostile}/ask?seed={EVIL.replace(' ', '%20')}")
    expect(page.get_by_role("alert").or_(page.get_by_role("heading", name="Proof"))).to_be_visible()
    assert page.locator("img").count() == 0 and page.evaluate("window.stolen") is None


def test_what_is_larger_than_an_upload_may_be_is_refused(hostile: str, page: Page) -> None:
    page.goto(f"{hostile}/explore")
    expect(page.get_by_role("status")).to_contain_text("begin with")
    give(page, "long.txt", b"imatinib\n" * 200_000)
    expect(page.get_by_role("alert")).to_contain_text("larger than 1 MiB")
