"""What must not be stored: the values of secret variables, and passwords inside addresses.

A strategy or a library may put such a value into the message of an error. Everything that is kept
or shown (journal, metadata, failures, errors) goes through here first.
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
"""Shorter values are not real secrets, and would hide parts of ordinary words."""
_LONG = 16
"""A user's name of this length is a token."""
_LOGIN = re.compile(r"(?<=://)[^/\s@\"']+(?=@)")
_QUERY = re.compile(
    r"([?&][\w.-]*(?:secret|token|passw|credential|signature|key|auth)[\w.-]*=)[^&\s\"'#]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return ``text`` without secrets; ``[hidden]`` replaces each one."""
    return _without(text, _secrets())


def redacted(value: Any) -> Any:
    """Return JSON content with every text in it redacted; keys stay as they are."""
    return _plain(value, _secrets())


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


def _secrets() -> tuple[str, ...]:
    """Return secret values in every form in which they may appear in a text, the longest first."""
    # The raw bytes: a journal calls this for each line, and would wait for decoding.
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
        for form in (value, unquote(value), json.dumps(value, ensure_ascii=False)[1:-1])
        # The path of a file with a secret is not a secret.
        if len(form) >= _SHORTEST and not form.startswith("/")
    }
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))
