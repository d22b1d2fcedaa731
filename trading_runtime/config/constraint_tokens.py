"""The words of a constraint between parameters: names, numbers, texts and signs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LENGTH = 500
"""Characters of one constraint."""
_WORDS = {"and", "or", "not", "true", "false", "True", "False"}
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?(?![A-Za-z0-9_.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<text>'[^'\\]*'|"[^"\\]*")
    |(?P<symbol><=|>=|==|!=|[-+*/%()<>])
    |(?P<end>$)
    )""",
    re.VERBOSE,
)
_MISTAKES = {
    "=": "write '==' to compare",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or '!=' to compare",
    "^": "there are no powers; multiply instead",
    "[": "lists are not accepted",
    "{": "mappings are not accepted",
    ".": "attributes are not accepted",
    ",": "commas are not accepted; join conditions with 'and', or write two constraints",
}


class ConstraintSyntaxError(ValueError):
    """The text is not a constraint; ``place`` is the offset of the character at fault."""

    def __init__(self, message: str, place: int) -> None:
        """Keep the place beside the message."""
        super().__init__(f"{message} (at character {place + 1})")
        self.place = place


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, text or sign, and where it begins."""

    kind: str
    """number, name, word, text, symbol, or end."""
    text: str
    place: int


def tokens(text: str) -> Iterator[Token]:
    """Give the tokens of a constraint, the last of kind ``end``.

    Raises ``ConstraintSyntaxError`` when the text is too long, or has what no constraint has.
    """
    if len(text) > MAX_LENGTH:
        raise ConstraintSyntaxError(
            f"the constraint is longer than {MAX_LENGTH} characters; write several", MAX_LENGTH
        )
    place = 0
    while True:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            rest = text[place:].lstrip()
            at = len(text) - len(rest)
            hint = _MISTAKES.get(
                rest[0],
                "accepted are names, numbers, texts, < <= > >= == != + - * / % ( ) and or not",
            )
            raise ConstraintSyntaxError(f"{rest[0]!r} is not accepted; {hint}", at)
        kind = match.lastgroup
        word = match.group(kind)
        start = match.start(kind)
        if kind == "symbol" and text[start : start + 2] in {"**", "//"}:
            raise ConstraintSyntaxError(
                f"{text[start : start + 2]!r} is not accepted; accepted are + - * / %", start
            )
        yield Token("word" if kind == "name" and word in _WORDS else kind, word, start)
        if kind == "end":
            return
        place = match.end()
