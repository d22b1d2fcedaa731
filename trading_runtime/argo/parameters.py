"""The parameters of the workflow ``backtest`` that people set for their cluster, checked.

Argo and Kubernetes notice most of what is wrong with them late: in an event, or in a pod that
stays pending.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_OPTIONS = {
    "experiment": "FILE",
    "code": "FILE",
    "run-id": "--run-id",
    "image": "--image",
    "batch-seconds": "--batch-seconds",
    "most-batches": "--most-batches",
}
"""Parameters that ``submit`` sets itself, each with what it is made from."""
_MOST_DIGITS = 9
_WHOLE = re.compile(rf"[0-9]{{1,{_MOST_DIGITS}}}")
_QUANTITY = re.compile(r"(?=[0-9.]*[1-9])[0-9]+(\.[0-9]+)?(m|[kMGTPE]|[KMGTPE]i)?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_OPERATORS = {"Exists", "Equal"}
_EFFECTS = {"NoSchedule", "PreferNoSchedule", "NoExecute"}


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
        wanted = "a value without '{{', which Argo would read" if "{{" in value else None
        if wanted or (wanted := CHECKS[name](value)):
            raise UsageError(f"-p {name}: {value[:200]!r} is not accepted; write {wanted}")
        found[name] = value
    return found


def _whole(least: int, unit: str) -> Callable[[str], str | None]:
    def check(value: str) -> str | None:
        is_right = _WHOLE.fullmatch(value) and int(value) >= least
        return None if is_right else f"a whole number{unit} of {least} or more"

    return check


def _quantity(example: str) -> Callable[[str], str | None]:
    return lambda value: None if _QUANTITY.fullmatch(value) else f"a quantity such as {example}"


def _truth(value: str) -> str | None:
    return None if value in {"true", "false"} else "true or false"


def _class_name(value: str) -> str | None:
    is_right = not value or _NAME.fullmatch(value)
    return None if is_right else "the name of a PriorityClass, or nothing"


def _selector(value: str) -> str | None:
    labels = _json(value)
    is_right = isinstance(labels, dict) and all(
        _LABEL.fullmatch(name) and isinstance(text, str) and _LABEL_VALUE.fullmatch(text)
        for name, text in labels.items()
    )
    return None if is_right else 'labels as JSON, such as {"kubernetes.io/arch":"amd64"}'


def _tolerations(value: str) -> str | None:
    items = _json(value)
    is_right = isinstance(items, list) and all(map(_is_toleration, items))
    return None if is_right else 'JSON such as [{"key":"spot","operator":"Exists"}]'


def _is_toleration(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    rest = dict(item)
    seconds = rest.pop("tolerationSeconds", 0)
    if not all(isinstance(text, str) for text in rest.values()) or type(seconds) is not int:
        return False
    operator, effect = rest.pop("operator", "Equal"), rest.pop("effect", None)
    key, text = rest.pop("key", ""), rest.pop("value", "")
    return (
        not rest
        and operator in _OPERATORS
        and (effect is None or effect in _EFFECTS)
        and ("tolerationSeconds" not in item or effect == "NoExecute")
        # Without a key it tolerates everything, which only Exists can say; Exists has no value.
        and (_LABEL.fullmatch(key) is not None if key else operator == "Exists")
        and (not text if operator == "Exists" else _LABEL_VALUE.fullmatch(text) is not None)
    )


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


_memory = _whole(64, " of MiB")
CHECKS: Mapping[str, Callable[[str], str | None]] = {
    "allow-mutable-image": _truth,
    "retries": _whole(0, ""),
    "cpu": _quantity("2 or 500m"),
    "memory-mib": _memory,
    "step-cpu": _quantity("2 or 500m"),
    "step-memory-mib": _memory,
    "scratch-size": _quantity("20Gi"),
    "batch-deadline-seconds": _whole(1, " of seconds"),
    "step-deadline-seconds": _whole(1, " of seconds"),
    "node-selector": _selector,
    "tolerations": _tolerations,
    "priority-class": _class_name,
    "report-artifact": _truth,
}
"""Parameters by name, each with what says how to write it when a value is not accepted."""
