"""JSON read into a document: checked by the strict parser of the standard library, then placed."""

from __future__ import annotations

import bisect
import json
import re

from trading_runtime.config.document import (
    DocumentBuilder,
    DocumentError,
    Node,
    Problem,
    too_deep,
)

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+)')


def read_json(text: str) -> Node:
    """Return the tree of a JSON text; raises ``DocumentError``."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    try:
        # Values are read from the text below, where their place and length are known.
        json.loads(text, parse_int=len, parse_float=len, parse_constant=len)
    except json.JSONDecodeError as error:
        hint = _hint(text, error.pos)
        raise DocumentError(
            [Problem(error.lineno, error.colno, f"not JSON: {error.msg}{hint}")]
        ) from error
    except RecursionError as error:
        raise DocumentError([Problem(1, 1, too_deep())]) from error
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
