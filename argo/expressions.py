"""Values that Argo fills in: parameters, safe as an argument, as JSON, and as a number."""

from __future__ import annotations


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
