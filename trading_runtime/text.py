r"""Text of others, made fit for the place where it goes: records, a terminal, a spreadsheet.

A strategy, a library or a file of somebody else's may name things with characters that steer a
terminal, turn text around, end a string early or have no UTF-8. They are shown as the escapes of
JSON (``\u001b``), so JSON text keeps its content and other text shows what was there.

The name of a temporary copy becomes that of the place it was copied from.
"""

from __future__ import annotations

import re

MOST_MESSAGE = 4_000
"""Characters kept of a message that is not ours."""
MOST_TRACEBACK = 20_000
"""Characters kept of a traceback or of a program's output."""
_STEERING = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e"  # invisible, line ends, direction
    "\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f"  # halves, no characters, tags
)
_STEERS = re.compile(f"[{_STEERING}]")
_STEERS_LINE = re.compile(f"[\t\n{_STEERING}]")
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")
_LEAST_OUTSIDE = 200


_copies: dict[str, str] = {}


def name_copy(folder: str, place: str) -> None:
    """Let every text name ``place`` where it would name ``folder``, a temporary copy of it.

    The folder ends with the process, and its name means nothing to anyone else.
    """
    _copies[folder] = place


def _placed(text: str) -> str:
    for folder, place in _copies.items():
        text = text.replace(folder, place)
    return text


def for_records(text: str) -> str:
    """Return ``text`` for a file or a report: nothing in it steers what shows it.

    Applied to JSON text, the content stays the same. A second time changes nothing.
    """
    text = _placed(text)
    return text if text.isascii() and text.isprintable() else _STEERS.sub(_escape, text)


def for_terminal(text: str) -> str:
    """Return ``text`` for a terminal; tabs and line feeds stay."""
    return for_records(text)


def for_line(text: str) -> str:
    """Return ``text`` as a single line, for a cell of a table or the heading of something."""
    text = _placed(text)
    return text if text.isascii() and text.isprintable() else _STEERS_LINE.sub(_escape, text)


def for_spreadsheet(text: str) -> str:
    """Return ``text`` for a cell of CSV: no spreadsheet takes it for a formula.

    A number stays one. Anything else that could begin a formula gets an apostrophe in front.
    """
    shown = for_records(text)
    is_formula = _FORMULA.match(shown) and not _NUMBER.fullmatch(shown)
    return f"'{shown}" if is_formula or shown[:1] in {"\t", "\n"} else shown


def abridged(text: str, most: int) -> str:
    """Return ``text`` with at most about ``most`` characters: its beginning, a note, and its end.

    No word is cut: half a secret would not be recognised.
    """
    if len(text) <= most:
        return text
    head, tail = text[: most * 3 // 4], text[-(most // 4) :]
    head = _until_space(head)
    tail = _until_space(tail[::-1])[::-1]
    left_out = len(text) - len(head) - len(tail)
    return f"{head}… [{left_out:,} characters left out] …{tail}"


def _until_space(text: str) -> str:
    """Return ``text`` without its last, perhaps cut word, if that leaves some of it."""
    found = [at for at in (text.rfind(" "), text.rfind("\n")) if at >= 0]
    return text[: max(found) + 1] if found else text[:_LEAST_OUTSIDE]


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:  # noqa: PLR2004 - as JSON has it, in two halves
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return {"\t": "\\t", "\n": "\\n", "\r": "\\r"}.get(match[0], f"\\u{code:04x}")
