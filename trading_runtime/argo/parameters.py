"""The parameters of the workflow ``backtest`` that people set for their cluster, checked.

Argo and Kubernetes notice most of what is wrong with them late: in an event, or in a pod that
stays pending.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OPTIONS = {
    "experiment": "FILE",
    "code": "FILE",
    "run-id": "--run-id",
    "image": "--image",
    "batch-seconds": "--batch-seconds",
    "most-batches": "--most-batches",
}
"""Parameters that ``submit`` sets itself, each with what it is made from."""
_QUANTITY = "(0*[1-9][0-9]*([.][0-9]+)?|0+[.]0*[1-9][0-9]*)(m|[kMGTPE]|[KMGTPE]i)?"
_NAME = "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_LABEL = f"({_NAME}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?"
_LABEL_VALUE = "([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"
_TOLERATION = "|".join(
    (
        f'"key" *: *"({_LABEL})?"',
        '"operator" *: *"(Exists|Equal)"',
        f'"value" *: *"{_LABEL_VALUE}"',
        '"effect" *: *"(NoSchedule|PreferNoSchedule|NoExecute)"',
        '"tolerationSeconds" *: *(0|-?[1-9][0-9]{0,8})',
    )
)


class ParameterCheck(NamedTuple):
    """What a parameter of the workflow may be."""

    pattern: str
    """Of the whole value. It means the same to Python, to Argo (RE2) and to Bash (POSIX extended).

    It has no ``{{`` and no ``}}``, which Argo would read, and no backtick, which quotes it there.
    """
    wanted: str
    """How to write it."""


def checked_parameters(given: Iterable[str]) -> dict[str, str]:
    """Return parameters by name from texts ``name=value``.

    Raises ``UsageError`` for an unknown name, and for a value that no pod could be made with.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"-p {text}: write name=value")
        if name in _OPTIONS:
            raise UsageError(f"-p {name}: submit sets it from {_OPTIONS[name]}")
        if name not in CHECKS:
            raise UsageError(f"-p {name}: no such parameter; accepted are {', '.join(CHECKS)}")
        if name in found:
            raise UsageError(f"-p {name}: it is given twice")
        check = CHECKS[name]
        if not re.fullmatch(check.pattern, value) or (name == "tolerations" and _clash(value)):
            raise UsageError(f"-p {name}: {value[:200]!r} is not accepted; write {check.wanted}")
        found[name] = value
    return found


def _clash(tolerations: str) -> bool:
    """Return whether a toleration contradicts itself; Kubernetes refuses such a pod at once."""
    return any(
        # Without a key it tolerates everything, which only Exists can say; Exists has no value.
        (not item.get("key") and item.get("operator") != "Exists")
        or (item.get("operator") == "Exists" and item.get("value"))
        or ("tolerationSeconds" in item and item.get("effect") != "NoExecute")
        for item in json.loads(tolerations)
    )


def _list(item: str, opening: str, closing: str) -> str:
    """Return the pattern of a list or an object in JSON, on one line, perhaps empty."""
    return f"{opening} *(({item})( *, *({item}))*)? *{closing}"


_TRUTH = ParameterCheck("true|false", "true or false")
_CPU = ParameterCheck(_QUANTITY, "a quantity such as 2 or 500m")
_MEMORY = ParameterCheck("6[4-9]|[7-9][0-9]|[1-9][0-9]{2,8}", "a whole number of MiB of 64 or more")
_SECONDS = ParameterCheck("[1-9][0-9]{0,8}", "a whole number of seconds of 1 or more")
CHECKS: Mapping[str, ParameterCheck] = {
    "allow-mutable-image": _TRUTH,
    "retries": ParameterCheck("0|[1-9][0-9]{0,8}", "a whole number of 0 or more"),
    "cpu": _CPU,
    "memory-mib": _MEMORY,
    "step-cpu": _CPU,
    "step-memory-mib": _MEMORY,
    "scratch-size": ParameterCheck(_QUANTITY, "a quantity such as 20Gi"),
    "batch-deadline-seconds": _SECONDS,
    "step-deadline-seconds": _SECONDS,
    "node-selector": ParameterCheck(
        _list(f'"{_LABEL}" *: *"{_LABEL_VALUE}"', "[{]", "[}]"),
        'labels as JSON, such as {"kubernetes.io/arch":"amd64"}',
    ),
    "tolerations": ParameterCheck(
        _list(_list(_TOLERATION, "[{]", "[}]"), r"\[", r"\]"),
        'JSON such as [{"key":"spot","operator":"Exists"}]',
    ),
    "priority-class": ParameterCheck(f"({_NAME})?", "the name of a PriorityClass, or nothing"),
    "report-artifact": _TRUTH,
}
"""Parameters by name. ``submit``, the templates and ``deploy-argo.sh`` all check by these."""
