"""Write the WorkflowTemplates that are applied to a cluster.

python -m argo.render           writes the files
python -m argo.render --check   lists files that are not current; exit 1 when there are any
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from argo.backtest import backtest_template
from argo.build import build_template
from argo.data_import import import_template
from argo.prepare import prepare_template
from trading_runtime.argo.cluster_objects import as_yaml
from trading_runtime.argo.parameters import CHECKS

if TYPE_CHECKING:
    from hera.workflows import WorkflowTemplate

FOLDER = Path(__file__).resolve().parent
_HEAD = "# Rendered from argo/{source}.py by `make argo`; change the source, then run that.\n"


def rendered() -> dict[str, str]:
    """Return the text of every file by name."""
    return {
        "workflowtemplate-backtest.yaml": _text(backtest_template(), "backtest"),
        "workflowtemplate-prepare.yaml": _text(prepare_template(), "prepare"),
        "workflowtemplate-import.yaml": _text(import_template(), "data_import"),
        "workflowtemplate-build-push-ghcr.yaml": _text(build_template(), "build"),
        "parameters.tsv": _checks(),
    }


def _text(template: WorkflowTemplate, source: str) -> str:
    return _HEAD.format(source=source) + as_yaml([template.to_dict()])


def _checks() -> str:
    """Return the checks of parameters for ``deploy-argo.sh``: name, pattern, how to write it."""
    lines = ("\t".join((name, *check)) for name, check in CHECKS.items())
    return "".join(f"{line}\n" for line in lines)


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
