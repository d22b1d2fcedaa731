"""The JSON Schema of the experiment file: current, valid, and of one mind with the models."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from trading_runtime.config.schema import experiment_schema, schema_text

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "schemas" / "experiment.schema.json"
EXAMPLES = sorted((ROOT / "trading_runtime" / "local").glob("*.json"))


def test_the_committed_schema_is_current() -> None:
    """Write it anew with ``REGENERATE=1 pytest tests/config/test_schema.py``."""
    if os.environ.get("REGENERATE") == "1":
        COMMITTED.write_text(schema_text(), encoding="utf-8")

    assert COMMITTED.read_text(encoding="utf-8") == schema_text()


def test_it_is_a_valid_schema_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(experiment_schema())


def test_it_accepts_a_good_experiment(content: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(experiment_schema()).validate(content)


def test_it_accepts_the_examples_and_they_name_it() -> None:
    validator = jsonschema.Draft202012Validator(experiment_schema())

    for path in EXAMPLES:
        example = json.loads(path.read_text(encoding="utf-8"))
        validator.validate(example)
        assert (path.parent / example["$schema"]).resolve() == COMMITTED


def test_numbers_may_be_written_as_texts(content: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(experiment_schema())
    content["venue"]["leverage"] = "2.5"
    assert validator.is_valid(content)
    content["venue"]["leverage"] = 2.5
    assert validator.is_valid(content)
    content["venue"]["leverage"] = 0.5
    assert not validator.is_valid(content)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("sampel",), 1),
        (("venue", "fees", "model"), "percent"),
        (("venue", "balances"), ["100000"]),
        (("venue", "balances"), []),
        (("equity",), {"interval": "1 hour"}),
        (("partitions", "by"), "fortnight"),
        (("parameters", "fast"), 10),
        (("seed",), "7"),
        (("name",), "Ema Cross"),
    ],
)
def test_it_refuses_what_the_models_refuse(
    content: dict[str, Any], keys: tuple[str, ...], value: object
) -> None:
    changed = copy.deepcopy(content)
    inside = changed
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = value

    assert not jsonschema.Draft202012Validator(experiment_schema()).is_valid(changed)


def test_every_key_is_described_and_no_other_is_allowed() -> None:
    schema = experiment_schema()

    models = [schema, *(item for item in schema["$defs"].values() if "properties" in item)]

    assert [item for item in models if item["additionalProperties"] is not False] == []
    undescribed = [
        key
        for model in models
        for key, item in model["properties"].items()
        if not {"description", "$ref"} & item.keys()
    ]
    assert undescribed == []
