"""What operating an experiment needs; nothing of it changes a result."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from trading_runtime.config.fields import Model

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_HOST = r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$"


def _check_variable(text: str) -> str:
    if not re.fullmatch(_VARIABLE, text):
        # What follows an equals sign may be a secret that somebody wrote here by mistake.
        raise ValueError(
            "is not the name of an environment variable; write the name alone, such as 'API_KEY'"
        )
    return text


def _check_host(text: str) -> str:
    if not re.fullmatch(_HOST, text):
        raise ValueError(
            f"{text!r} is not a host; write 'example.org' or 'example.org:8443', without scheme "
            "and path"
        )
    return text.lower()


VariableName = Annotated[
    str,
    AfterValidator(_check_variable),
    WithJsonSchema({"type": "string", "pattern": _VARIABLE}),
]
"""The name of an environment variable; never its value."""

Host = Annotated[
    str, AfterValidator(_check_host), WithJsonSchema({"type": "string", "pattern": _HOST})
]
"""A host name or address, with a port where only that one is meant."""


class OperationSettings(Model):
    """What has to be there before the experiment may run, and what may be asked over the network.

    Read by ``readiness check`` and ``probe``.
    """

    required_variables: list[VariableName] = Field(default_factory=list)
    """Environment variables without which it is not ready."""
    optional_variables: list[VariableName] = Field(default_factory=list)
    """Environment variables whose absence is a warning."""
    min_free_disk_mb: Annotated[int, Field(ge=0)] = 500
    """Megabytes that must be free where results and scratch files go."""
    min_free_memory_mb: Annotated[int, Field(ge=0)] = 500
    """Megabytes of memory that must be available."""
    max_clock_skew_seconds: Annotated[int, Field(ge=1)] = 30
    """How far this machine's clock may be from that of the place of the results."""
    probe_hosts: list[Host] = Field(default_factory=list)
    """Hosts that ``probe`` may ask besides this machine itself."""
