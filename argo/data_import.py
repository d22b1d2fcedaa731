"""The WorkflowTemplate `import`: one pod that adds what a vendor's files have beyond a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera.workflows import Parameter

from argo.expressions import argument, literal, parameter
from argo.names import IMPORT_TEMPLATE
from argo.steps import only_pod
from argo.workflows import POD_PARAMETERS, workflow_template

if TYPE_CHECKING:
    from hera.workflows import WorkflowTemplate

COMMAND = ["python", "-m", "trading_runtime.cli.main", "data", "import"]
NEEDED = (
    Parameter(name="format", description="A name that `trading-runtime data formats` lists"),
    Parameter(name="instrument", description="Id of the instrument: SYMBOL.VENUE"),
    Parameter(name="to", description="Where the dataset is, or will be: s3://bucket/prefix"),
)
OPTIONS = tuple(
    Parameter(name=name, value="", description=description)
    for name, description in (
        ("bar", "Length and price of bars, such as 1-MINUTE-LAST"),
        ("time-zone", "Zone of the times in the files, such as Europe/Berlin"),
        ("symbol", "The instrument's name in files of several"),
        ("tick", "Price increment, such as 0.01; else by the digits in the files"),
        ("lot", "Size increment, such as 0.001; else by the digits in the files"),
        ("currency", "Of prices, where the symbol does not tell it"),
    )
)
"""Options that a format may ask for; empty ones are not given."""
# There is no plan, check or summary.
_POD_PARAMETERS = [item for item in POD_PARAMETERS if not str(item.name).startswith("step-")]
PARAMETERS = (
    Parameter(name="files", description="Raw files, or a pattern: s3://bucket/folder/*.zip"),
    *NEEDED,
    *OPTIONS,
    Parameter(name="image", description="The image, by digest: ghcr.io/owner/name@sha256:..."),
    *_POD_PARAMETERS,
)


def import_template() -> WorkflowTemplate:
    """Return the template. The same again, once there are more files, adds their rows."""
    needed = [f"--{item.name}={argument(str(item.name))}" for item in NEEDED]
    return workflow_template(
        IMPORT_TEMPLATE,
        "Import",
        "Adds the new rows of a vendor's files to a dataset, or makes it.",
        parameters=PARAMETERS,
        templates=[
            only_pod(
                "import",
                [*needed, *(_option(str(item.name)) for item in OPTIONS), "--", argument("files")],
                command=COMMAND,
                checked=[str(item.name) for item in _POD_PARAMETERS],
            )
        ],
        # Of two that would write to one address at the same time, the later one waits.
        mutex=f"sprig.sha256sum({parameter('to')})",
    )


def _option(name: str) -> str:
    """Return an option that may be absent; when it is, the address is given once more instead."""
    value = parameter(name)
    return literal(f"({value} == '' ? '--to=' + {parameter('to')} : '--{name}=' + {value})")
