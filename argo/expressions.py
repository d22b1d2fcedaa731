"""Values that Argo fills in: parameters, safe as an argument, as JSON, and as a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.argo.parameters import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterable


def parameter(name: str) -> str:
    """Return the expression for a workflow's parameter."""
    return f"workflow.parameters['{name}']"


def argument(name: str) -> str:
    """Return the placeholder for a workflow's parameter in a container's argument or environment.

    Kubernetes replaces ``$(NAME)`` there with the variable of that name, even a secret, and ``$$``
    with ``$``. With every ``$`` doubled, the container gets the parameter unchanged.
    """
    return literal(parameter(name))


def literal(expression: str) -> str:
    """Return the placeholder for the value of an expression, as ``argument`` does."""
    return f"{{{{=sprig.replace('$', '$$', {expression})}}}}"


def simple(name: str) -> str:
    """Return the placeholder for a workflow's parameter where Argo reads it itself."""
    return f"{{{{workflow.parameters.{name}}}}}"


def refused_unless_right(names: Iterable[str]) -> str:
    """Return a placeholder that leaves nothing, and fails a step when a parameter is not accepted.

    It needs no pod, but a place in a template: elsewhere in a workflow Argo tells nobody of an
    expression that fails. Of the expression, Argo shows the line that failed with the message.
    """
    checks = (
        f"({parameter(name)} matches `^({CHECKS[name].pattern})$` ? '' :\n"
        f"sprig.fail('{name}: not accepted; write {CHECKS[name].wanted}'))"
        for name in names
    )
    return f"{{{{={' +\n'.join(checks)}}}}}"


def json_text(name: str) -> str:
    """Return the placeholder for a workflow's parameter as a JSON string, quotes included."""
    return f"{{{{=toJSON({parameter(name)})}}}}"


def json_value(name: str) -> str:
    """Return the placeholder for the JSON value in a workflow's parameter, parsed again.

    A parameter that is not JSON fails the workflow; one with an extra closing brace cannot escape
    its place.
    """
    return f"{{{{=toJSON(fromJSON({parameter(name)}))}}}}"


RUN_ID = f"({parameter('run-id')} == '' ? workflow.name : {parameter('run-id')})"
"""The run's id: the parameter, or else the workflow's name, which is a valid id."""
