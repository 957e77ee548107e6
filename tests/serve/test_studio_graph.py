"""What Explore and Ask compute, without a browser: surroundings, their drawing, addresses, and questions that are those of a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.records import Rejection
from engine.shared import Shared
from samplers.config import GraphConfig, QuestionConfig, SamplerConfig
from samplers.graph.loader import load_graph
from samplers.graph.store import Graph
from samplers.questions.build import Try
from samplers.records import Question, Subgraph
from serve.studio import posing
from serve.studio.address import BOUNDS, CHOICES, Address
from serve.studio.drawing import COLOURS, LINES, Lit, chosen, lit_by, picture
from serve.studio.ego import surroundings
from serve.studio.entity import tell
from serve.studio.finding import Nobody, entity_of, examples, suggest
from serve.studio.layout import arrange
from serve.studio.puzzle import puzzle
from serve.studio.uploads import keep, listed, seeds_of
from serve.studio.workspace import Workspace


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_graph(GraphConfig())


@pytest.fixture(scope="module")
def plain(graph: Graph) -> nx.Graph[int]:
    edges = graph.columns
    return nx.Graph(zip(edges.source.tolist(), edges.target.tolist(), strict=True))


@settings(max_examples=25)
@given(centre=st.integers(0, 1167), radius=st.integers(1, 4), size=st.integers(1, 400), also=st.lists(st.integers(0, 1167), max_size=3))
def test_surroundings_are_the_nearest_entities_and_all_pairs_among_them(
    graph: Graph, plain: nx.Graph[int], centre: int, radius: int, size: int, also: list[int]
) -> None:
    ego = surroundings(graph, centre, radius, size, also)
    nodes = ego.nodes.tolist()
    far = nx.single_source_shortest_path_length(plain, centre, radius)
    around = [node for node, step in zip(nodes, ego.steps.tolist(), strict=True) if step >= 0]
    assert nodes[0] == centre and len(set(nodes)) == len(nodes) and {*also} <= {*nodes}
    assert [far[node] for node in around] == ego.steps.tolist()[: len(around)] == sorted(far[node] for node in around)
    assert len(around) == min(size, len(far)) or ego.beyond
    pairs = {frozenset((nodes[one], nodes[other])) for one, other in ego.pairs.tolist()}
    assert pairs == {frozenset(edge) for edge in plain.subgraph(nodes).edges} and len(pairs) == len(ego.pairs)


def test_the_drawing_is_always_the_same_and_joined_entities_lie_near_each_other(graph: Graph) -> None:
    ego = surroundings(graph, graph.find("liver")[0], 2, 250)
    places = arrange(len(ego.nodes), ego.pairs, ego.steps)
    assert np.array_equal(places, arrange(len(ego.nodes), ego.pairs, ego.steps)) and np.isfinite(places).all()
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    joined = apart[ego.pairs[:, 0], ego.pairs[:, 1]]
    assert joined.mean() < 0.6 * apart.mean()
    assert (apart + np.eye(len(apart)) > 1e-4).all(), "no two in one place"
    assert arrange(1, np.empty((0, 2), np.int32), np.zeros(1, np.int32)).tolist() == [[0, 0]]


def test_a_picture_has_all_entities_and_the_subgraph_stands_out(graph: Graph) -> None:
    address = Address(seed="imatinib", draw=3)
    subgraph = posing.sampled(Shared.local(graph), address)
    assert isinstance(subgraph, Subgraph)
    ego = surroundings(graph, graph.index(subgraph.seed_entity), 2, 60, map(graph.index, subgraph.nodes))
    lit = lit_by(graph, ego, subgraph)
    series = picture(graph, ego, arrange(len(ego.nodes), ego.pairs, ego.steps), lit)["series"][0]
    nodes = sorted(series["data"], key=lambda item: int(item["id"]))
    assert [item["name"] for item in nodes] == [graph.name(int(node)) for node in ego.nodes]
    assert series["data"][-len(lit.nodes) :] == [nodes[place] for place in sorted(lit.nodes)], "what stands out is painted last"
    assert len(series["links"]) == len(ego.pairs) and lit.nodes == frozenset(
        ego.nodes.tolist().index(graph.index(n)) for n in subgraph.nodes
    )
    assert {place for place, item in enumerate(nodes) if item.get("label")} == lit.nodes
    wide = [link for link in series["links"] if link.get("lineStyle", {}).get("width") == 3]
    assert len(wide) == len(subgraph.backbone) - 1
    assert all(item["itemStyle"]["color"] not in COLOURS for place, item in enumerate(nodes) if place and place not in lit.nodes)


def test_of_too_many_lines_each_entity_keeps_one_and_the_subgraph_all() -> None:
    pairs = sorted((one, other) for other in range(1, 120) for one in range(other))
    lit = Lit(frozenset({7, 118}), (7, 118), {(7, 118): "joins"})
    kept = chosen(pairs, lit)
    assert len(pairs) > LINES == len(kept) == len(set(kept)) and (7, 118) in kept and kept == sorted(kept)
    assert {end for pair in kept for end in pair} == set(range(120))
    assert chosen(pairs[:50], lit) == pairs[:50]


def test_names_are_found_by_their_beginning_by_an_alias_and_inside(graph: Graph) -> None:
    assert [item.spelling for item in suggest(graph, "IMAT")] == ["imatinib"]
    assert graph.name(suggest(graph, "gleev")[0].entity) == "imatinib"
    found = [item.spelling for item in suggest(graph, "anemia", 40)]
    assert found and all("anemia" in name.lower() for name in found)
    assert suggest(graph, " ") == [] and suggest(graph, "no such thing at all") == []
    assert all(graph.find(name) for name in examples(graph)) and len(examples(graph)) == len(graph.schema.kinds)


def test_a_seed_is_an_entity_or_names_to_go_on_with(graph: Graph) -> None:
    assert entity_of(graph, "gleevec") == graph.find("imatinib")[0]
    unknown, none = entity_of(graph, "imatinip"), entity_of(graph, "")
    assert isinstance(unknown, Nobody) and "no entity is called" in unknown.why and unknown.instead[0] == "imatinib"
    assert none == Nobody("", examples(graph))


def test_an_entity_is_told_with_its_facts_both_ways(graph: Graph) -> None:
    told = tell(graph, graph.find("imatinib")[0], 2)
    assert told.aliases == ("Gleevec", "Glivec") and ("year of first FDA approval", "2001") in told.attributes
    assert sum(len(facts.rows) + facts.left_out for facts in told.facts) == told.degree == 9
    assert max(len(facts.rows) for facts in told.facts) == 2 and all("…" in facts.phrase for facts in told.facts)
    back = tell(graph, graph.find("cytochrome P450 3A4")[0], 100)
    assert any(fact.other == told.index for facts in back.facts for fact in facts.rows)


@given(st.dictionaries(st.sampled_from([*BOUNDS, *CHOICES, "seed", "at", "seeds", "else"]), st.text(max_size=12)))
def test_any_address_gives_a_page_within_bounds_and_leads_back_to_itself(parameters: dict[str, str]) -> None:
    address = Address.of(parameters)
    assert all(least <= getattr(address, name) <= most for name, (least, most) in BOUNDS.items())
    assert all(getattr(address, name) in choices for name, choices in CHOICES.items())
    assert address.changed() == address and address.url("ask").startswith("/ask")


def test_a_question_is_the_one_that_a_run_makes_and_proves_again(graph: Graph) -> None:
    from engine.stage import run_stage
    from samplers.questions.synthesise import QuestionStage
    from samplers.sample import SampleStage
    from samplers.seeds import make_seed

    async def of_a_run() -> Question:
        shared = Shared.local(graph)
        stages = SampleStage(shared, SamplerConfig()), QuestionStage(shared, QuestionConfig())
        subgraph = (await run_stage(stages[0], make_seed("imatinib"), 0, 60)).rows[0]
        await stages[1].open()
        return (await run_stage(stages[1], subgraph, 0, 60)).rows[0]

    shared, address, tries = Shared.local(graph), Address(seed=" imatinib", draw=0), list[Try]()
    subgraph = posing.sampled(shared, address)
    assert isinstance(subgraph, Subgraph)
    question = posing.posed(shared, address, subgraph, tries.append)
    assert question == asyncio.run(of_a_run())
    assert isinstance(question, Question) and question.certificate
    assert [tried.ended is None for tried in tries] == [False] * (len(tries) - 1) + [True]
    assert [clue.left for _, part in posing.clues(question) for clue in part] == [drop.answers for drop in question.certificate.drops]
    assert posing.formula(question).endswith(" ∧ ".join(clue.text for _, part in posing.clues(question) for clue in part))
    assert posing.proved_again(question, graph, GraphConfig()) == []
    secret = {item.label for item in question.placeholders if item.hidden}
    masked = [item["name"] for item in puzzle(graph, question, solved=False)["series"][0]["data"]]
    assert secret and not any(label in name for label in secret for name in masked)
    assert any(question.answer in item["name"] for item in puzzle(graph, question, solved=True)["series"][0]["data"])


def test_what_gives_nothing_says_why(graph: Graph) -> None:
    shared = Shared.local(graph)
    unknown = posing.sampled(shared, Address(seed="imatinip", draw=0))
    assert isinstance(unknown, Rejection) and "imatinib" in unknown.detail
    address, tries = Address(seed="imatinib", draw=0, hops=6, paradigm="superlative"), list[Try]()
    subgraph = posing.sampled(shared, address)
    assert isinstance(subgraph, Subgraph)
    ended = posing.posed(shared, address, subgraph, tries.append)
    assert (
        isinstance(ended, Rejection)
        and {tried.paradigm.value for tried in tries} == {"superlative"}
        and all(tried.ended for tried in tries)
    )
    assert posing.question_config(Address(difficulty="hard", paradigm="count")).difficulty == "hard"


def test_the_command_beside_a_question_is_read_by_hydra_as_the_same_settings() -> None:
    import shlex

    from hydra import compose, initialize_config_dir

    from scripts.settings import CONF, read_settings

    address = Address(seed="imatinib", draw=7, strategy="max_chain", nodes=9, paradigm="count", difficulty="hard", hops=3)
    typed = shlex.split(posing.command(address))
    assert typed[:3] == ["python", "-m", "scripts.synthesize"]
    with initialize_config_dir(str(CONF), version_base=None):
        made, _ = read_settings(compose("synthesize", typed[3:]))
    assert made.question == posing.question_config(address) and made.run.seed == 7
    assert made.sampler == SamplerConfig(strategy="max_chain", size=9)


def test_uploads_are_checked_kept_under_their_content_and_found_again(graph: Graph, tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    kept = keep(workspace, "..\\..\\my seeds.TXT", b"imatinib\nnobody\nGleevec\n")
    assert [seed.name for seed in seeds_of(workspace, kept)] == ["imatinib", "nobody", "Gleevec"]
    assert [row.known for row in listed(graph, seeds_of(workspace, kept))] == [True, False, True]
    for name, content, told in [("a.exe", b"x", "no known format"), ("a.csv", b"\xff\xfe", "UTF-8"), ("b/a.json", b"{}", "no JSON list")]:
        with pytest.raises(InputError, match=told) as error:
            keep(workspace, name, content)
        assert str(tmp_path) not in str(error.value) and "a." in str(error.value)
    assert len([*tmp_path.rglob("*.*")]) == 2, "the folder .studio and the one good file"
    for name in ("", "../../etc/passwd", "0123456789abcdef.csv"):
        with pytest.raises(InputError, match="no uploaded file"):
            seeds_of(workspace, name)
