"""Canonical JSON and the digests made from it: equal content gives equal bytes."""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
import json
import math
from decimal import Decimal
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Encode ``value`` as UTF-8 JSON with sorted keys and no insignificant space.

    Decimals become strings in plain notation without trailing zeros, so that ``1.50`` and ``1.5``
    are one value. NaN and infinity have no JSON and raise ``ValueError``.
    """
    return _text(_plain(value)).encode()


def digest(value: Any) -> str:
    """Return the sha256 of the canonical JSON of ``value``, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json_of_parsed(value: Any) -> bytes:
    """Return the canonical JSON of what was read from JSON, which needs no conversion."""
    return _text(value).encode()


def digest_of_parsed(value: Any) -> str:
    """Return the digest of what was read from JSON."""
    return hashlib.sha256(canonical_json_of_parsed(value)).hexdigest()


_text = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
).encode


def decimal_text(value: Decimal) -> str:
    """Return ``value`` in plain notation without trailing zeros (``1E+2`` is ``100``).

    Raises ``ValueError`` for NaN and infinity.
    """
    if not value.is_finite():
        raise ValueError(f"{value} has no canonical form")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


_AS_IT_IS = frozenset({str, int, bool, type(None)})
"""Types whose values are all valid JSON: most of what is encoded, so they are checked first."""


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one case a type
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} has no canonical form")
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dict):
        plain = {
            str(key): item if type(item) in _AS_IT_IS else _plain(item)
            for key, item in value.items()
        }
        if len(plain) < len(value):
            raise ValueError(f"two keys of {sorted(plain)} are one key in JSON")
        return plain
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _AS_IT_IS else _plain(item) for item in value]
    return value
