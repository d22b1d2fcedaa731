"""Messages counted by kind: the rest of a text after ids and numbers are removed."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CODE = re.compile(r"(RISK \w+|[A-Z]+(?:_[A-Z]+)*): ")
"""The prefixes of reasons given by the engine and the risk profile."""
_VARYING = re.compile(r"[^\s'\"=(),:;]*(?:\d|\.[A-Z])[^\s'\"=(),:;]*")
"""A word with a digit, or an instrument's id."""
_MOST_KINDS = 20
_LONGEST = 160
_READ = 1_000
OTHER = "other"


def kind_of(message: str) -> str:
    """Return the code that a message begins with, else its first line without ids and numbers."""
    code = _CODE.match(message)
    if code is not None:
        return code[1]
    lines = message.strip().splitlines()
    return _VARYING.sub("…", lines[0][:_READ])[:_LONGEST] if lines else ""


def counted_kinds(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts in order of the kind, merging the rarest when there are more than twenty."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(sorted(ranked[:_MOST_KINDS]))
    rest = sum(count for _, count in ranked[_MOST_KINDS:])
    return kept | ({OTHER: rest} if rest else {})


def kinds_of(messages: Iterable[str | None]) -> dict[str, int]:
    """Return the number of messages of each kind."""
    return counted_kinds(Counter(kind_of(message or "") for message in messages))
