"""The JSON Schemas of experiment and deployment files: editors use them to complete and check.

The committed copies are ``schemas/experiment.schema.json`` and ``deployment.schema.json`` beside
it; ``$schema`` in a file names the one for it.
"""

from __future__ import annotations

import json
from typing import Any

from trading_runtime.config.experiment import Experiment
from trading_runtime.config.fields import Model
from trading_runtime.config.messages import describe_fields

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``Experiment``, draft 2020-12."""
    describe_fields(Model)
    schema = Experiment.model_json_schema(by_alias=True, mode="validation")
    content: dict[str, Any] = tidy(schema)
    return {"$schema": DRAFT, **content, "title": "Trading Runtime experiment"}


def deployment_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``Deployment``, draft 2020-12."""
    from trading_runtime.config.deployment import Deployment

    describe_fields(Model)
    content: dict[str, Any] = tidy(Deployment.model_json_schema(by_alias=True, mode="validation"))
    return {"$schema": DRAFT, **content, "title": "Trading Runtime deployment"}


def schema_text(*, deployment: bool = False) -> str:
    """Return the schema of experiments, or of deployments, as the text that is committed."""
    schema = deployment_schema() if deployment else experiment_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def tidy(value: Any, *, in_properties: bool = False) -> Any:
    """Drop pydantic's titles, which repeat the keys, and write descriptions as plain text."""
    if isinstance(value, dict):
        kept = {
            key: tidy(item, in_properties=key in {"properties", "$defs"} and not in_properties)
            for key, item in value.items()
            if in_properties or key != "title"
        }
        if not in_properties and isinstance(kept.get("description"), str):
            kept["description"] = " ".join(kept["description"].replace("``", "'").split())
        return kept
    if isinstance(value, list):
        return [tidy(item) for item in value]
    return value
