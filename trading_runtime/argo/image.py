"""The image that pods run: named by its digest, so that a run can be repeated."""

from __future__ import annotations

import re

from trading_runtime.errors import UsageError

_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/-]*"
_BY_DIGEST = re.compile(rf"{_NAME}@sha256:[0-9a-f]{{64}}")
_ANY = re.compile(rf"{_NAME}(@sha256:[0-9a-f]{{64}})?")
_MOST_SHOWN = 200


def check_image(image: str, *, allow_mutable: bool = False) -> str:
    """Return ``image`` when it is named by digest, or a tag is allowed.

    Raises ``UsageError`` otherwise: what a tag names can change between two pods of one run.
    """
    if (_ANY if allow_mutable else _BY_DIGEST).fullmatch(image):
        return image
    raise UsageError(
        f"image {image[:_MOST_SHOWN]!r}: names no digest, so it could be another one tomorrow; "
        "give it as name@sha256:<64 hexadecimal digits>, or allow-mutable-image to take it so"
    )
