"""What must not be stored: the values of secret variables, and passwords inside addresses.

A strategy or a library may put such a value into an error message. Everything kept or shown of what
happened (journal, metadata, failures, errors) goes through here first.
"""

from __future__ import annotations

import functools
import json
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Sequence

HIDDEN = "[hidden]"
_NAMES = re.compile(
    r"SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|SIGNATURE|AUTH|COOKIE|KEY|DSN", re.IGNORECASE
)
_SHORTEST = 8
"""Shorter values are not worth calling secrets, and would hide parts of ordinary words."""
_LONG = 16
"""A user name of at least this length is a token."""
_LOGIN = re.compile(r"(?<=://)[^/\s@\"']+(?=@)")
_QUERY = re.compile(
    r"([?&][\w.-]*(?:secret|token|passw|credential|signature|key|auth)[\w.-]*=)[^&\s\"'#]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return ``text`` without secrets; ``[hidden]`` replaces each one."""
    return _without(text, known_secrets())


def redacted(value: Any) -> Any:
    """Return JSON content with every string in it redacted; keys are unchanged."""
    return _plain(value, known_secrets())


def _plain(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return _without(value, secrets)
    if isinstance(value, dict):
        return {key: _plain(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, secrets) for item in value]
    return value


def _without(text: str, secrets: Sequence[str]) -> str:
    for value in secrets:
        if value in text:
            text = text.replace(value, HIDDEN)
    if "://" in text:
        text = _QUERY.sub(rf"\1{HIDDEN}", _LOGIN.sub(HIDDEN, text))
    return text


def known_secrets() -> tuple[str, ...]:
    """Return secret values in every form that a text or JSON may contain, the longest first."""
    # The bytes themselves: a journal asks at each line, and decoding would slow it down.
    found: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001
    return _secrets_of(tuple(found.items()))


@functools.lru_cache(maxsize=1)
def _secrets_of(encoded: tuple[tuple[bytes, bytes], ...]) -> tuple[str, ...]:
    variables = {os.fsdecode(name): os.fsdecode(value) for name, value in encoded}
    values = {value for name, value in variables.items() if _NAMES.search(name)}
    for value in variables.values():
        for login in _LOGIN.findall(value) if "://" in value else ():
            user, _, password = login.partition(":")
            values.add(password)
            if len(user) >= _LONG:
                values.add(user)
    forms = {
        form
        for value in values
        for plain in (value, unquote(value))
        for form in (plain, json.dumps(plain, ensure_ascii=False)[1:-1])
        # The path of a file with a secret is not a secret.
        if len(form) >= _SHORTEST and not form.startswith("/")
    }
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))
