"""Make the compact schemas that templates are checked against, from Argo's full CRDs.

python scripts/make_argo_schemas.py CRD.yaml tests/data/argo/workflowtemplate-4.0.2.json

CRD.yaml is manifests/base/crds/full/argoproj.io_workflowtemplates.yaml of a release of Argo
Workflows. Descriptions are left out, and equal parts are written once.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def compact(crd: Path) -> dict[str, Any]:
    """Return the schema of a CRD's only version, without descriptions, as JSON Schema."""
    content = YAML(typ="safe").load(crd)
    [version] = content["spec"]["versions"]
    definitions: dict[str, Any] = {}
    schema = _shared(version["schema"]["openAPIV3Schema"], definitions)
    return {"$defs": dict(sorted(definitions.items())), **schema}


def _shared(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: _shared(item, definitions) for name, item in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            found[key] = _shared(value, definitions)
        elif key != "description":
            found[key] = value
    if "properties" not in found:
        return found
    text = json.dumps(found, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:8]
    definitions[name] = found
    return {"$ref": f"#/$defs/{name}"}


def main() -> int:
    """Write the schema."""
    source, target = map(Path, sys.argv[1:])
    text = json.dumps(compact(source), sort_keys=True, separators=(",", ":"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
