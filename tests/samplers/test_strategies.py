"""The contract of every strategy, on random graphs and on the shapes that break samplers; then the stage around them."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.records import from_table, to_table
from engine.shared import Shared
from engine.stage import run_stage
from samplers.config import SamplerConfig
from samplers.graph.adjacency import Ints
from samplers.graph.schema import GraphSchema, Kind, Relation
from samplers.graph.store import Graph
from samplers.records import SampleCause, Subgraph
from samplers.sample import SampleStage
from samplers.seeds import make_seed
from samplers.strategies import STRATEGIES, find_strategy
from samplers.strategies.strategy import PATIENCE, Draw
from tests.samplers.conftest import make_graph

ROOT = Path(__file__).parents[2]
SCHEMA = GraphSchema(
    name="shapes",
    kinds={"Thing": Kind(noun="thing", plural="things")},
    relations={
        "joins": Relation(forward="[joins|join] {object}", back="[is|are] joined by {subject}"),
        "hides": Relation(forward="[hides|hide] {object}", back="[is|are] hidden by {subject}", clue=False),
    },
    never_a_clue=("n0",),
)
"""Entity n0 is never a clue; `hides` is never a step."""

names = st.sampled_from(sorted(STRATEGIES))
sizes = st.integers(3, 16)
seeds = st.integers(0, 1 << 30)


def graph_of(edges: Iterable[tuple[int, int]], size: int, hidden: Iterable[tuple[int, int]] = ()) -> Graph:
    width = len(str(size))
    rows = [(f"n{a:0{width}}", "joins", f"n{b:0{width}}") for a, b in edges] + [
        (f"n{a:0{width}}", "hides", f"n{b:0{width}}") for a, b in hidden
    ]
    return make_graph([(f"n{i:0{width}}", f"node {i}", "Thing") for i in range(size)], rows, SCHEMA)


@st.composite
def random_graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(2, 40))
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
    edges = draw(st.sets(pairs, min_size=1, max_size=3 * size))
    hub_spokes = {(size - 1, other) for other in range(size - 1)} if draw(st.booleans()) else set()
    return graph_of(sorted(edges | hub_spokes), size, sorted(draw(st.sets(pairs, max_size=5))))


def steps(graph: Graph) -> nx.Graph:
    """Everything a sampler may use, written independently of the store's own method."""
    allowed = nx.Graph()
    for edge_id in range(graph.edge_count):
        edge = graph.edge(edge_id)
        ends = graph.index(edge.source), graph.index(edge.target)
        if edge.relation != "hides" and all(graph.usable(end) for end in ends):
            allowed.add_edge(*ends)
    return allowed


def check(graph: Graph, start: int, size: int, hub_degree: int, draw: Draw) -> None:
    allowed = steps(graph)
    allowed.add_node(start)
    assert draw.nodes[0] == start and len(set(draw.nodes)) == len(draw.nodes)
    assert len(draw.nodes) == min(size, len(nx.node_connected_component(allowed, start)))
    assert nx.is_connected(allowed.subgraph(draw.nodes))
    assert set(draw.backbone) <= set(draw.nodes) and len(set(draw.backbone)) == len(draw.backbone) >= 1
    assert all(allowed.has_edge(a, b) for a, b in zip(draw.backbone, draw.backbone[1:], strict=False))
    assert all(graph.degree(node) <= hub_degree for node in draw.backbone[1:-1])
    reach, frontier = {start}, [start]
    while frontier:
        node = frontier.pop()
        fresh = set(allowed[node]) - reach if node == start or graph.degree(node) <= hub_degree else set()
        reach |= fresh
        frontier += fresh
    if len(reach) >= size:
        assert set(draw.nodes) <= reach  # hubs are crossed only when nothing else is left


@settings(deadline=None, max_examples=400)
@given(random_graphs(), names, sizes, st.integers(1, 12), seeds, st.data())
def test_contract_on_random_graphs(graph: Graph, name: str, size: int, hub_degree: int, seed: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(graph) - 1).filter(graph.usable))
    draw = find_strategy(name).draw(graph, start, size, hub_degree, random.Random(seed))
    check(graph, start, size, hub_degree, draw)
    assert draw == find_strategy(name).draw(graph, start, size, hub_degree, random.Random(seed))
    assert draw.strategy != "mixed"


SHAPES = {
    "path": nx.path_graph(40),
    "cycle": nx.cycle_graph(40),
    "star": nx.star_graph(39),
    "clique": nx.complete_graph(20),
    "grid": nx.convert_node_labels_to_integers(nx.grid_2d_graph(7, 7)),
    "tree": nx.balanced_tree(3, 3),
    "barbell": nx.barbell_graph(8, 3),
    "islands": nx.disjoint_union_all([nx.complete_graph(4) for _ in range(6)]),
    "two hubs": nx.compose(nx.star_graph(30), nx.relabel_nodes(nx.star_graph(30), {0: 40} | {i: i + 20 for i in range(1, 31)})),
}


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_contract_on_shapes(name: str, shape: str) -> None:
    nodes = {node: place + 1 for place, node in enumerate(sorted(SHAPES[shape]))}
    graph = graph_of([(nodes[a], nodes[b]) for a, b in SHAPES[shape].edges], len(nodes) + 1)
    for start in range(1, len(graph), 5):
        for size in (3, 8, 16):
            for hub_degree in (5, 100):
                check(graph, start, size, hub_degree, find_strategy(name).draw(graph, start, size, hub_degree, random.Random(start)))


def draws(name: str, graph: Graph, size: int = 8, count: int = 40) -> list[Draw]:
    starts = [node for node in range(1, len(graph)) if graph.degree(node) >= 2][:count]
    return [find_strategy(name).draw(graph, start, size, 100, random.Random(start)) for start in starts]


def shape(name: str) -> Graph:
    nodes = {node: place + 1 for place, node in enumerate(sorted(SHAPES[name]))}
    return graph_of([(nodes[a], nodes[b]) for a, b in SHAPES[name].edges], len(nodes) + 1)


def test_max_chain_finds_the_longest_chain_where_it_is_known() -> None:
    assert {len(draw.backbone) for draw in draws("max_chain", shape("path"))} == {8}
    assert {len(draw.backbone) for draw in draws("max_chain", shape("cycle"), size=16)} == {16}
    assert {len(draw.backbone) for draw in draws("max_chain", shape("clique"), size=16)} == {16}


def test_max_chain_avoids_short_cuts() -> None:
    graph = shape("grid")
    allowed = steps(graph)
    chords = [allowed.subgraph(draw.backbone).number_of_edges() - len(draw.backbone) + 1 for draw in draws("max_chain", graph)]
    assert sum(chords) / len(chords) < 0.5  # a random walk of 8 on a grid has about two


def test_augmented_chain_hangs_constraints_on_the_chain() -> None:
    graph = shape("grid")
    allowed = steps(graph)
    for draw in draws("augmented_chain", graph):
        extra = [node for node in draw.nodes if node not in draw.backbone]
        assert 4 <= len(draw.backbone) <= 6 and extra
        assert all(any(allowed.has_edge(node, link) for link in draw.backbone) for node in extra)


def test_community_is_denser_than_a_chain_and_its_path_is_long() -> None:
    planted = nx.planted_partition_graph(8, 10, 0.7, 0.02, seed=1)
    graph = graph_of([(a + 1, b + 1) for a, b in planted.edges], 81)
    allowed = steps(graph)

    def density(name: str) -> float:
        return sum(allowed.subgraph(draw.nodes).number_of_edges() for draw in draws(name, graph))

    assert density("community_core_path") > 1.3 * density("max_chain")
    own = [sum((node - 1) // 10 == (draw.nodes[0] - 1) // 10 for node in draw.nodes) for draw in draws("community_core_path", graph)]
    assert sum(own) / len(own) > 6  # of 8
    assert min(len(draw.backbone) for draw in draws("community_core_path", graph)) >= 5


def test_dual_cores_do_not_know_each_other_and_differ_by_seed() -> None:
    graph = shape("grid")
    allowed = steps(graph)
    found = draws("dual_core_bridge", graph)
    for draw in found:
        assert len(draw.backbone) >= 3
        assert not allowed.has_edge(draw.backbone[0], draw.backbone[-1])
    assert len({frozenset((draw.backbone[0], draw.backbone[-1])) for draw in found}) > 0.8 * len(found)


def test_mixed_uses_all_four() -> None:
    graph = shape("grid")
    used = {find_strategy("mixed").draw(graph, 5, 8, 100, random.Random(seed)).strategy for seed in range(40)}
    assert used == set(STRATEGIES) - {"mixed"}


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_ties_are_broken_by_chance_alone(name: str) -> None:
    taken = Counter(
        node for seed in range(300) for node in find_strategy(name).draw(shape("star"), 1, 4, 10, random.Random(seed)).nodes[1:]
    )
    assert len(taken) == 39 and max(taken.values()) < 3 * 300 * 3 / 39  # 900 leaves drawn, 23 expected of each


def test_an_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="max_chain"):
        find_strategy("maxchain")


class CountingGraph(Graph):
    """Counts the entities whose neighbours are read."""

    reads = 0

    def clue_neighbours(self, index: int, sample: int | None = None, rng: random.Random | None = None) -> Ints:
        self.reads += 1
        return super().clue_neighbours(index, sample, rng)


@pytest.fixture(scope="module")
def scales() -> list[CountingGraph]:
    """Preferential attachment with two edges per entity: the larger graph has far larger hubs, the surroundings look alike."""
    graphs = []
    for size in (1000, 100_000):
        rng, ends = random.Random(size), [1, 2]
        for node in range(3, size):
            ends += [node, rng.choice(ends), node, rng.choice(ends)]
        pairs = {(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if a != b}
        graph = graph_of(sorted(pairs), size)
        graphs.append(CountingGraph(graph.schema, graph.columns, graph.hash, graph.report))
    return graphs


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"mixed"}))
@pytest.mark.parametrize("size", [8, 16])
def test_cost_does_not_depend_on_the_size_of_the_graph(scales: list[CountingGraph], name: str, size: int) -> None:
    for graph in scales:
        for start in range(1, 41):
            graph.reads = 0
            find_strategy(name).draw(graph, start, size, 100, random.Random(start))
            assert 0 < graph.reads <= 2 * PATIENCE * size


DRAW_ALL = """
import random
from samplers.config import GraphConfig
from samplers.graph.documents import documents
from samplers.graph.loader import load_graph
from samplers.strategies import STRATEGIES
graph = load_graph(GraphConfig())
print(graph.hash, [strategy.draw(graph, start, 8, 20, random.Random(1)) for strategy in STRATEGIES.values() for start in range(0, 600, 7)])
print(documents(graph)[:50])
"""


def test_draws_do_not_depend_on_the_hash_seed() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", DRAW_ALL],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(outputs) == 1 and len(outputs.pop()) > 10_000


async def test_the_stage_writes_draws_in_ids(tiny_graph: Graph) -> None:
    stage = SampleStage(Shared.local(tiny_graph), SamplerConfig(strategy="mixed", size=6, per_seed=4))
    await stage.open()
    seed = make_seed("Gleevec")
    done = await run_stage(stage, seed, run_seed=7, timeout_s=10)
    assert (len(done.rows), done.rejections, done.failures) == (4, (), ())
    assert len({row.id for row in done.rows}) == 4 and len({row.nodes for row in done.rows}) > 1
    for row in done.rows:
        assert (row.trace_id, row.seed_name, row.seed_entity, row.nodes[0]) == (seed.id, "Gleevec", "c:imatinib", "c:imatinib")
        assert len(row.nodes) == 6 and set(row.backbone) <= set(row.nodes) and row.strategy in STRATEGIES
        assert {end for edge in row.edges for end in (edge.source, edge.target)} == set(row.nodes)
        assert all(edge.relation != "mentioned_with" for edge in row.edges)
    assert from_table(to_table(done.rows, Subgraph), Subgraph) == list(done.rows)


async def test_only_clues_are_edges_of_a_subgraph(tiny_graph: Graph) -> None:
    stage = SampleStage(Shared.local(tiny_graph), SamplerConfig(strategy="augmented_chain", size=12))
    (row,) = (await run_stage(stage, make_seed("LMNA"), run_seed=7, timeout_s=10)).rows
    assert {"d:dcm", "d:edmd"} <= set(row.nodes)
    assert len(row.edges) == len(tiny_graph.edges_between([tiny_graph.index(node) for node in row.nodes])) - 1


async def test_every_bearer_of_a_name_gets_its_turn(tiny_graph: Graph) -> None:
    stage = SampleStage(Shared.local(tiny_graph), SamplerConfig(strategy="max_chain", size=4, per_seed=4))
    done = await run_stage(stage, make_seed("hgps"), run_seed=7, timeout_s=10)
    assert [row.seed_entity for row in done.rows] == ["g:lmna", "d:hgps", "g:lmna", "d:hgps"]


@pytest.mark.parametrize(
    ("name", "cause", "detail"),
    [
        ("imatinip", SampleCause.UNKNOWN_SEED, "'imatinib'"),
        ("", SampleCause.UNKNOWN_SEED, "none"),
        ("Worldwide", SampleCause.SEED_TOO_ISOLATED, "never a clue"),
        ("café au lait spot", SampleCause.SEED_TOO_ISOLATED, "reaches 0 other entities"),
    ],
)
async def test_a_seed_that_gives_nothing_is_rejected_with_a_reason(tiny_graph: Graph, name: str, cause: SampleCause, detail: str) -> None:
    stage = SampleStage(Shared.local(tiny_graph), SamplerConfig(size=4))
    done = await run_stage(stage, make_seed(name), run_seed=7, timeout_s=10)
    assert [rejection.cause for rejection in done.rejections] == [cause]
    assert detail in done.rejections[0].detail


def test_the_stage_travels_to_actors_and_checks_its_strategy_before(tiny_graph: Graph) -> None:
    stage = pickle.loads(pickle.dumps(SampleStage(Shared.local(tiny_graph), SamplerConfig(strategy="max_chain", per_seed=2))))
    assert (stage.name, stage.fan_out) == ("sample", 2)
    with pytest.raises(ConfigError, match=r"sampler\.strategy"):
        SampleStage(Shared.local(tiny_graph), SamplerConfig(strategy="longest"))
