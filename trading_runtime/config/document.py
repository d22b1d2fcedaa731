"""A document as a tree of values with line and column; numbers are exact. JSON is read here.

Strict on purpose: each key once, no NaN or infinity, no YAML anchors, aliases or tags, bounded
depth and number size. So a file means what it appears to say, and reading it never builds an
object.
"""

from __future__ import annotations

import bisect
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


MAX_DEPTH = 32
"""Depth of nested mappings and lists."""
MAX_NUMBER_LENGTH = 80
"""Characters of one number."""

_MAX_INTEGER = 2**63 - 1
_MAX_EXPONENT = 38
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))")
_WORDS: dict[str, Any] = {
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a file, and where it is."""

    line: int
    column: int
    message: str


class DocumentError(ValueError):
    """The text is not a readable document; ``problems`` says why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems, at least one."""
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))


@dataclass(slots=True)
class Node:
    """A value of a document with its line and column, both counted from 1."""

    line: int
    column: int
    value: Any
    """A scalar, a list of nodes, or a dict of nodes."""
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of a mapping: line and column of each key."""

    def plain(self) -> Any:
        """Return the value without places: dict, list, str, int, Decimal, bool or None."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def place(self, keys: Iterable[str | int], *, of_key: bool = False) -> tuple[int, int]:
        """Return line and column of what ``keys`` lead to, or of its nearest existing parent.

        With ``of_key``, return the place of the last key itself instead of its value.
        """
        node = self
        place = (self.line, self.column)
        for key in keys:
            inside = node.value
            if isinstance(inside, dict) and key in inside:
                place = node.keys[str(key)]
                node = inside[key]
            elif isinstance(inside, list) and isinstance(key, int) and key < len(inside):
                node = inside[key]
                place = (node.line, node.column)
            else:
                return node.line, node.column
        return place if of_key else (node.line, node.column)


class DocumentBuilder:
    """Builds the tree from a reader's events: values go into the open mapping or list."""

    def __init__(self) -> None:
        """Start with nothing open."""
        self._root: Node | None = None
        self._open: list[Node] = []
        self._keys: list[str | None] = []
        self._problems: list[Problem] = []

    @property
    def in_mapping(self) -> bool:
        """Whether keys are expected: a mapping is open."""
        return bool(self._open) and isinstance(self._open[-1].value, dict)

    def problem(self, line: int, column: int, message: str) -> None:
        """Keep a problem and continue reading."""
        self._problems.append(Problem(line, column, message))

    def finished(self) -> Node:
        """Return the tree; raises ``DocumentError`` when there were problems, or no value."""
        if self._root is None and not self._problems:
            self.problem(1, 1, "the file is empty")
        if self._problems or self._root is None:
            raise DocumentError(self._problems)
        return self._root

    def open(self, line: int, column: int, *, is_mapping: bool) -> None:
        """Start a mapping or list."""
        if len(self._open) >= MAX_DEPTH:
            raise DocumentError([*self._problems, Problem(line, column, depth_message())])
        if self.in_mapping and self._keys[-1] is None:
            self.problem(line, column, "a key is a text, not a mapping or list")
            self._keys[-1] = ""
        node = Node(line, column, {} if is_mapping else [])
        self._add(node)
        self._open.append(node)
        self._keys.append(None)

    def close(self) -> None:
        """End the mapping or list that was started last."""
        self._open.pop()
        self._keys.pop()

    def key(self, line: int, column: int, text: str) -> None:
        """Take the key of the value that comes next."""
        mapping = self._open[-1]
        if text in mapping.keys:
            first = mapping.keys[text][0]
            self.problem(
                line, column, f"key {text!r} is written twice, first in line {first}; keep one"
            )
        self._check_text(line, column, text)
        mapping.keys[text] = (line, column)
        self._keys[-1] = text

    def scalar(self, line: int, column: int, value: Any) -> None:
        """Take a value."""
        if isinstance(value, str):
            self._check_text(line, column, value)
        self._add(Node(line, column, value))

    def yaml_scalar(self, line: int, column: int, text: str, *, is_plain: bool) -> None:
        """Take a key or a value of a YAML text, by the rules of the YAML 1.2 core schema."""
        if self.in_mapping and self._keys[-1] is None:
            self.key(line, column, text)
        elif not is_plain:
            self.scalar(line, column, text)
        elif not text and self.in_mapping:
            # The parser places an absent value at whatever comes next, often lines below.
            self.scalar(*self._open[-1].keys[self._keys[-1] or ""], None)
        elif text in _WORDS:
            self.scalar(line, column, _WORDS[text])
        elif _NOT_FINITE.fullmatch(text):
            self.problem(line, column, f"{text} is not accepted: numbers are finite")
            self.scalar(line, column, None)
        elif _FLOAT.fullmatch(text):
            self.scalar(line, column, self._number(line, column, text))
        else:
            self.scalar(line, column, text)

    def json_value(self, line: int, column: int, token: str) -> Any:
        """Return the value of a JSON token that is not a string."""
        if token in {"true", "false", "null"}:
            return _WORDS[token]
        if _FLOAT.fullmatch(token):
            return self._number(line, column, token)
        self.problem(line, column, f"{token} is not accepted: numbers are finite")
        return None

    def _add(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        container = self._open[-1].value
        if isinstance(container, list):
            container.append(node)
        else:
            container[self._keys[-1]] = node
            self._keys[-1] = None

    def _number(self, line: int, column: int, text: str) -> int | Decimal | None:
        if len(text) > MAX_NUMBER_LENGTH:
            self.problem(
                line, column, f"{text[:12]}... is too long for a number ({len(text)} characters)"
            )
            return None
        if _INTEGER.fullmatch(text):
            whole = int(text)
            if abs(whole) > _MAX_INTEGER:
                self.problem(line, column, f"{text} is too large; at most {_MAX_INTEGER}")
            return whole
        number = Decimal(text)
        exponent = number.as_tuple().exponent
        is_small = isinstance(exponent, int) and exponent >= -_MAX_EXPONENT
        if not is_small or number.adjusted() >= _MAX_EXPONENT:
            self.problem(
                line,
                column,
                f"{text} has more than {_MAX_EXPONENT} digits before or after the point",
            )
        return number

    def _check_text(self, line: int, column: int, text: str) -> None:
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            self.problem(line, column, "a text holds a character that cannot be stored")


def depth_message() -> str:
    """Return the message about a document that is nested too deeply."""
    return f"more than {MAX_DEPTH} mappings and lists within each other"


_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+)')


def parse_json(text: str) -> Node:
    """Return the tree of a JSON text; raises ``DocumentError``."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    try:
        # Values are read from the text below, where their position and length are known.
        json.loads(text, parse_int=len, parse_float=len, parse_constant=len)
    except json.JSONDecodeError as error:
        hint = _hint(text, error.pos)
        raise DocumentError(
            [Problem(error.lineno, error.colno, f"not JSON: {error.msg}{hint}")]
        ) from error
    except RecursionError as error:
        raise DocumentError([Problem(1, 1, depth_message())]) from error
    builder = DocumentBuilder()
    expects_value = True
    for match in _TOKEN.finditer(text):
        part = match.group(1)
        line, column = place(match.start(1))
        if part in "{[":
            builder.open(line, column, is_mapping=part == "{")
            expects_value = part == "["
        elif part in "}]":
            builder.close()
        elif part in ",:":
            expects_value = part == ":" or not builder.in_mapping
        elif part[0] == '"' and not expects_value:
            builder.key(line, column, json.loads(part))
        elif part[0] == '"':
            builder.scalar(line, column, json.loads(part))
        else:
            builder.scalar(line, column, builder.json_value(line, column, part))
    return builder.finished()


def _hint(text: str, place: int) -> str:
    rest = text[place : place + 2]
    if rest[:1] in {"#", "/"}:
        return "; JSON has no comments: remove it, or write the file as YAML (.yaml)"
    if rest[:1] == "'":
        return "; texts are in double quotes"
    if text[:place].rstrip().endswith(","):
        return "; remove the comma in front"
    return ""
