"""The image that pods run: named by its digest, so that a run can be repeated."""

from __future__ import annotations

import re

from trading_runtime.errors import UsageError

_BY_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_MOST_SHOWN = 200


def check_image(image: str, *, allow_mutable: bool = False) -> str:
    """Return ``image`` when it is named by digest, or a tag is allowed.

    Raises ``UsageError`` otherwise: what a tag names can change between two pods of one run.
    """
    if image.strip() and (allow_mutable or _BY_DIGEST.fullmatch(image)):
        return image
    raise UsageError(
        f"image {image[:_MOST_SHOWN]!r}: names no digest, so it could be another one tomorrow; "
        "give it as name@sha256:<64 hexadecimal digits>, or allow-mutable-image to take it so"
    )
