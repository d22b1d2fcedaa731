"""The form that a stored document must have, so that damage is reported as such."""

from __future__ import annotations

from typing import Any

type Form = type | tuple[type, ...] | dict[str, Any] | list[Any]
"""A type, or several; a mapping with at least these keys; or a list with items of one form."""


def check_form(value: Any, form: Form, place: str = "") -> None:
    """Raise ``ValueError`` naming the place in ``value`` that does not match the ``form``."""
    if isinstance(form, dict):
        _must(isinstance(value, dict), place, "no mapping")
        for key, inner in form.items():
            at = f"{place}.{key}" if place else key
            _must(key in value, at, "missing")
            check_form(value[key], inner, at)
    elif isinstance(form, list):
        _must(isinstance(value, list), place, "no list")
        for number, item in enumerate(value):
            check_form(item, form[0], f"{place}[{number}]")
    else:
        _must(isinstance(value, form), place, "of the wrong type")


def _must(holds: bool, place: str, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise ValueError(f"{place or 'the document'} is {what}")
