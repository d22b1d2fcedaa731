"""Write the WorkflowTemplates that are applied to a cluster.

python -m argo.render           writes the files
python -m argo.render --check   lists files that are not current; exit 1 when there are any
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from argo.backtest import backtest_template
from argo.build import build_template
from argo.prepare import prepare_template

if TYPE_CHECKING:
    from hera.workflows import WorkflowTemplate

FOLDER = Path(__file__).resolve().parent
_HEAD = "# Rendered from argo/{source}.py by `make argo`; change the source, then run that.\n"


def rendered() -> dict[str, str]:
    """Return the text of every file by name."""
    return {
        "workflowtemplate-backtest.yaml": _text(backtest_template(), "backtest"),
        "workflowtemplate-prepare.yaml": _text(prepare_template(), "prepare"),
        "workflowtemplate-build-push-ghcr.yaml": _text(build_template(), "build"),
    }


def _text(template: WorkflowTemplate, source: str) -> str:
    yaml = YAML()
    yaml.width = 10_000
    stream = io.StringIO()
    yaml.dump(_blocks(template.to_dict()), stream)
    return _HEAD.format(source=source) + stream.getvalue()


def _blocks(value: Any) -> Any:
    """Return the value with multi-line texts written as blocks."""
    if isinstance(value, dict):
        return {key: _blocks(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_blocks(item) for item in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


def main() -> int:
    """Write the files, or list those that are not current."""
    stale = []
    for name, text in rendered().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and stale:
        click.echo(f"argo: not current: {', '.join(stale)}; run `make argo`", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
