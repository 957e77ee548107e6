"""Schema files: strict, and helpful where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.errors import InputError
from samplers.graph.loader import DEMO, HERE
from samplers.graph.schema import Attribute, Fold, GraphSchema, Relation, read_schema
from tests.samplers.conftest import TINY_SCHEMA


def test_a_schema_is_read_whole(tiny_schema: GraphSchema) -> None:
    assert tiny_schema.kinds["Phenotype"].plural == "clinical findings"
    assert tiny_schema.relations["encodes"] == Relation(
        subject=("Gene",),
        object=("Protein",),
        forward="[encodes|encode] {object}",
        back="[is|are] encoded by {subject}",
        cardinality="one-to-one",
        functional=True,
        complete=True,
        open=False,
    )
    assert tiny_schema.folds == {
        "causes": Fold(relation="caused_by", reverse=True),
        "has phenotype": Fold(relation="has_phenotype", reverse=False),
    }
    assert tiny_schema.merges == ("same_as",)
    assert tiny_schema.never_a_clue == ("Worldwide",)
    assert tiny_schema.attributes["specialty"] == Attribute(form="tag", kinds=("Disease",))
    assert {"caused_by", "causes", "same_as"} <= set(tiny_schema.spellings)


def test_bundled_schemas_are_valid() -> None:
    for path in (DEMO / "schema.yaml", *(HERE / "schemas").glob("*.yaml")):
        assert read_schema(path).relations


@pytest.mark.parametrize(
    ("old", "new", "problem", "remedy"),
    [
        ("license:", "licence:", "key 'licence': unknown key", "license"),
        ("kinds:\n", "kindz:\n", "key 'kindz': unknown key", "kinds"),
        ("name: tiny\n", "", "key 'name': is missing", "add 'name:'"),
        ("noun: disease,", "nuon: disease,", "key 'kinds.Disease.nuon': unknown key", "noun"),
        ("    cardinality: one-to-one", "    cardinality: many", "key 'relations.encodes.cardinality'", "form"),
        ("    functional: true", "    functional: perhaps", "key 'relations.encodes.functional'", "form"),
        ("    functional: true", "    function: true", "key 'relations.encodes.function': unknown key", "functional"),
        ("object: [Protein]", "object: [Protien]", "unknown kind 'Protien'", "Protein"),
        ("{inverse_of: caused_by}", "{inverse_of: cause_by}", "unknown relation 'cause_by'", "caused_by"),
        ("{canonical: has_phenotype}", "{canonical: has_phenotype, clue: false}", "'canonical' stands alone", "remove clue"),
        ("{merge: true}", "{merge: 3}", "key 'relations.same_as.merge': is 3", "merge: true"),
        ("encoded by {subject}", "encoded by {object}", "does not hold {subject} once", "{subject}"),
        ("[encodes|encode]", "[encodes/encode]", "stray bracket", "[singular|plural]"),
        ("approved {range}", "approved {value}", "does not hold {range} once", "{range}"),
        ("never_a_clue: [Worldwide]", "never_a_clue: Worldwide", "key 'never_a_clue': is no list", "[first, second]"),
        ("form: year", "form: date", "key 'attributes.approved_year.form'", "form"),
    ],
)
def test_a_wrong_schema_names_file_key_and_remedy(tmp_path: Path, old: str, new: str, problem: str, remedy: str) -> None:
    assert old in TINY_SCHEMA
    path = tmp_path / "schema.yaml"
    path.write_text(TINY_SCHEMA.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_schema(path)
    assert str(path) in str(caught.value)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("name: [a", "is not YAML", 1),
        ("name: a\nkinds: {}\nname: b\n", "'name' is given twice", 3),
        ("- a\n- b\n", "no mapping", None),
        ("", "no mapping", None),
    ],
)
def test_what_is_no_schema_at_all(tmp_path: Path, text: str, problem: str, line: int | None) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_schema(path)
    assert problem in str(caught.value)
    assert caught.value.line == line


def test_a_missing_or_foreign_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_schema(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_schema(tmp_path / "latin.yaml")


def test_a_date_is_taken_as_text(tmp_path: Path) -> None:
    values = yaml.safe_load(TINY_SCHEMA) | {"snapshot": "2026-11-01"}
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(values).replace("'2026-11-01'", "2026-11-01"), encoding="utf-8")
    assert read_schema(tmp_path / "schema.yaml").snapshot == "2026-11-01"
