"""What must not be stored: the values of secret variables, and passwords inside addresses.

A strategy or a library may put such a value into an error message. Everything kept or shown of what
happened (journal, metadata, failures, errors) goes through here first.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote

from trading_runtime.text import abridged, for_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HIDDEN = "[hidden]"
_NAMES = re.compile(
    r"SECRET|TOKEN|PASS|PHRASE|MNEMONIC|CRED|PRIVATE|SIGNATURE|AUTH(?!OR(_|S|$))|COOKIE|KEY|DSN|HOOK|"
    r"PWD|(^|_)(PW|PK|OTP|SAS)(_|$)|JWT|SESSION|BEARER|CONN(ECTION)?_?STR",
    re.IGNORECASE,
)
_NO_SECRETS = frozenset({"PWD", "OLDPWD", "TRADING_RUNTIME_PASS"})
"""Variables that only look like it: folders of the shell, and names of variables."""
_SHORTEST = 8
"""Shorter values are not worth calling secrets, and would hide parts of ordinary words."""
_LONG = 16
"""A user name of at least this length is a token."""
_LEAST_DERIVED = 12
"""A shorter secret is hidden as it is; parts and encoded forms would look like ordinary text."""
_LEAST_DIFFERENT = 4
"""A piece of a secret with fewer different characters is a row of zeros or the like."""
_SHAPES = re.compile(
    r"(?<=hooks\.slack\.com/)[\w/-]+|(?<=/api/webhooks/)[\w/-]+|"
    r"(?<=api\.telegram\.org/bot)[\w:-]+|\b[0-9]{6,12}:AA[\w-]{30,}|"
    r"(?<=outlook\.office\.com/webhook)[^\s\"']+|(?<=\.webhook\.office\.com/)[^\s\"']+|"
    r"(?<=hooks\.zapier\.com/hooks/)[\w/-]+|(?<=/t/)[\w-]{16,}(?=/)|"
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|"
    r"\b(?:gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|sk_live_|sk_test_|sk-|npm_|pypi-|hf_)[\w-]{16,}|"
    r"\bAIza[\w-]{30,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bAGE-SECRET-KEY-1[A-Z0-9]{16,}|"
    r"\beyJ[\w-]{8,999}\.[\w-]{8,999}\.[\w-]{8,999}|"
    r"(?<=[Bb]earer )[\w.~+/-]{16,}=*|(?<=uthorization: Basic )[A-Za-z0-9+/]+=*|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?"
    r"(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|$)|LS0tLS1CRUdJTi[A-Za-z0-9+/]+=*"
)
"""What gives access whatever it is called: addresses of webhooks, keys and tokens by their form."""
_HINTS = (
    "hooks.slack", "/webhook", "telegram.org/bot", ":AA", "webhook.office", "hooks.zapier", "/t/",
    "AKIA", "ASIA", "gh", "github_pat_", "glpat-", "xox", "sk_live_", "sk_test_", "sk-", "npm_",
    "pypi-", "hf_", "AIza", "SG.", "AGE-SECRET", "eyJ", "earer ", "n: Basic ", "PRIVATE KEY",
    "LS0tLS1CRUdJTi",
)  # fmt: skip
"""One of these is in every text that ``_SHAPES`` finds something in."""
_SIGNS = ("://", "?", *_HINTS)
_OF_NUMBERS = "0123456789.:-OTZ"
"""The characters of amounts, instants and most ids: half of what a journal contains."""
_MOST_KEPT = 4_096
_encode = json.encoder.encode_basestring
_LOGIN = re.compile(r"(?<=://)[^/\s\"']+(?=@)")
_BARE_LOGIN = re.compile(r"[^\s:@/]+:([^\s@/]+)@(?!sha256:)[\w.-]+(:[0-9]+)?/?")
"""A proxy's address may come without ``http://``; an image's name is none."""
_LOGIN_WITH_SLASH = re.compile(r"://[^/\s:@]*:(?![0-9]+/)([^\s@]*/[^\s@]*)@")
_QUERY = re.compile(
    r"([?&](?:[\w.-]{0,80}(?:secret|token|passw|credential|signature|key|auth)[\w.-]{0,80}|"
    r"pass|pwd|sig)=)[^&\s\"'#]+",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s\"'{}\[\],;=&]+")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.[A-Za-z]+(:[0-9]+)?")


_declared: set[str] = set()


def declare(names: Iterable[str]) -> None:
    """Treat the values of these variables as secrets, whatever the variables are called."""
    if new := {*names} - _declared:
        _declared.update(new)
        _kept[-1] = _Kept({}, _NONE, JsonTexts(_NONE))


def redact(text: str) -> str:
    """Return ``text`` without secrets; ``[hidden]`` replaces each one."""
    return _without(text, _secrets())


def redacted(value: Any) -> Any:
    """Return JSON content with every string in it redacted; keys are unchanged."""
    return _plain(value, _secrets())


class JsonTexts(dict[str, str]):
    """Texts as JSON that steers nothing, without secrets; each is made when it is asked for."""

    def __init__(self, secrets: _Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def __missing__(self, text: str) -> str:
        """Make it, and keep it: most texts of a journal repeat."""
        if self._secrets.signs_in_numbers or text.strip(_OF_NUMBERS):
            made = for_records(_encode(_without(text, self._secrets)))
        else:  # most ids and amounts: nothing in them is a secret, or needs an escape
            made = f'"{text}"'
        self[text] = made
        return made


def json_texts() -> JsonTexts:
    """Return what is kept of texts as JSON; nothing is, once the variables have changed."""
    texts = _current().texts
    if len(texts) > _MOST_KEPT:
        texts.clear()
    return texts


def of_others(text: str, most: int) -> str:
    """Return what a strategy said as it is kept: without secrets, steering nothing, not too long.

    Secrets first: in a text that was cut, half of one would not be recognised.
    """
    return abridged(for_records(redact(text)), most)


class _Secrets(NamedTuple):
    whole: tuple[str, ...]
    """Forms of secret values, the longest first."""
    parts: Mapping[str, tuple[str, ...]]
    """Pieces of them, one of which is in each half, with the forms that they are pieces of."""
    signs: tuple[str, ...]
    """One of these is in every text that has something to hide."""
    signs_in_numbers: tuple[str, ...]
    """Those that may be in a text of ``_OF_NUMBERS`` alone; hardly ever any."""


def _plain(value: Any, secrets: _Secrets) -> Any:
    if isinstance(value, str):
        return _without(value, secrets)
    if isinstance(value, dict):
        return {key: _plain(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, secrets) for item in value]
    return value


def _without(text: str, secrets: _Secrets) -> str:
    for sign in secrets.signs if text.strip(_OF_NUMBERS) else secrets.signs_in_numbers:
        if sign in text:
            return _hidden(text, secrets)
    return text


def _hidden(text: str, secrets: _Secrets) -> str:
    for value in secrets.whole:
        if value in text:
            text = text.replace(value, HIDDEN)
    if "://" in text:
        text = _LOGIN.sub(HIDDEN, text)
    if "?" in text:
        text = _QUERY.sub(rf"\1{HIDDEN}", text)
    if any(hint in text for hint in _HINTS):
        text = _SHAPES.sub(HIDDEN, text)
    for part, forms in secrets.parts.items():
        at = text.find(part)
        while at >= 0:
            reaches = [_reach(text, at, part, form) for form in forms]
            start, end = min(start for start, _ in reaches), max(end for _, end in reaches)
            text = text[:start] + HIDDEN + text[end:]
            at = text.find(part, start + len(HIDDEN))
    return text


def _reach(text: str, at: int, part: str, form: str) -> tuple[int, int]:
    """Return from where to where ``text`` has the form of a secret that ``part`` is a piece of."""
    first, last = form.find(part), form.find(part) + len(part)
    start, end = at, at + len(part)
    while start and first and text[start - 1] == form[first - 1]:
        start, first = start - 1, first - 1
    while end < len(text) and last < len(form) and text[end] == form[last]:
        end, last = end + 1, last + 1
    return start, end


def _secrets() -> _Secrets:
    """Return secret values in every form that a text may contain."""
    return _current().secrets


def _current() -> _Kept:
    # The bytes themselves: a journal asks at each line, and decoding would slow it down.
    found: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001
    kept = _kept[-1]
    if kept.variables != found:
        secrets = _secrets_of(found)
        kept = _kept[-1] = _Kept(dict(found), secrets, JsonTexts(secrets))
    return kept


class _Kept(NamedTuple):
    variables: Mapping[bytes, bytes]
    secrets: _Secrets
    texts: JsonTexts


_NONE = _Secrets((), {}, _SIGNS, ())
_kept = [_Kept({}, _NONE, JsonTexts(_NONE))]
"""The secrets of the variables when they were last asked for."""


def _secrets_of(encoded: Mapping[bytes, bytes]) -> _Secrets:
    variables = {os.fsdecode(name): os.fsdecode(value) for name, value in encoded.items()}
    values = {
        value
        for name, value in variables.items()
        if name in _declared or (_NAMES.search(name) and name not in _NO_SECRETS)
    }
    # The path of a file with a secret is not a secret.
    words = {word for value in values if not value.startswith("/") for word in _words(value)}
    for value in variables.values():
        if bare := _BARE_LOGIN.fullmatch(value):
            values.add(bare[1])
        values.update(found[1] for found in _LOGIN_WITH_SLASH.finditer(value))
        for login in _LOGIN.findall(value) if "://" in value else ():
            user, _, password = login.partition(":")
            values.add(password)
            if len(user) >= _LONG:
                values.add(user)
        if any(hint in value for hint in _HINTS):
            values.update(found[0] for found in _SHAPES.finditer(value))
    kept = [value for value in values if len(value) >= _SHORTEST and not value.startswith("/")]
    forms = {form for value in kept for form in _forms(value)}
    long = [value for value in kept if len(value) >= _LEAST_DERIVED]
    derived = {form for value in long for form in _derived(value)}
    pieces: dict[str, tuple[str, ...]] = {}
    for form in sorted({*long, *derived}):
        size, half = max(_LEAST_DERIVED // 2, len(form) // 4), len(form) // 2
        parts = {form[at : at + size] for at in range(0, len(form) - size + 1, size)}
        distinctive = {part for part in parts if _is_distinctive(part)}
        for piece in (form[:half], form[half:]):
            # Where a half is, its parts are, from which the whole of it is found.
            if _is_distinctive(piece) and not any(part in piece for part in distinctive):
                distinctive.add(piece)
        for piece in distinctive:
            pieces[piece] = (*pieces.get(piece, ()), form)
    whole = {form for form in forms | derived | words if len(form) >= _SHORTEST}
    hinted = {form for forms in pieces.values() for form in forms}
    signs = (*sorted(whole - hinted), *pieces, *_SIGNS)
    in_numbers = tuple(sign for sign in signs if not sign.strip(_OF_NUMBERS))
    longest_first = tuple(sorted(whole, key=lambda form: (-len(form), form)))
    return _Secrets(longest_first, pieces, signs, in_numbers)


def _is_distinctive(piece: str) -> bool:
    """Return whether a piece is seldom in ordinary text, unlike numbers and short words."""
    if len(set(piece)) < _LEAST_DIFFERENT or piece in HIDDEN:
        return False
    if piece.isdigit():
        return len(piece) >= _LEAST_DERIVED
    return len(piece) >= _SHORTEST or not piece.isalpha()


def _forms(value: str) -> Iterator[str]:
    """Yield a secret as it is written in text, in an address, in JSON, Python and HTML."""
    yield from (value, unquote(value), html.escape(value), repr(value)[1:-1])
    for quoted in (
        quote(value, errors="surrogateescape"),
        quote(value, safe="", errors="surrogateescape"),
        quote_plus(value, errors="surrogateescape"),
    ):
        yield from (quoted, _QUOTED.sub(lambda found: found[0].lower(), quoted))
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield json.dumps(value)[1:-1]


_QUOTED = re.compile("%[0-9A-F]{2}")


def _words(value: str) -> Iterator[str]:
    """Yield what is a secret by itself in a value that has several parts.

    These are the lines of a key, and the values in cookies, JSON and connection strings; no hosts
    and addresses, which messages are clearer with.
    """
    for word in _BETWEEN.split(value):
        is_mixed = any(map(str.isdigit, word)) and any(map(str.isalpha, word))
        is_place = "://" in word or _HOST.fullmatch(word)
        if len(word) >= _LEAST_DERIVED and is_mixed and not is_place:
            yield word


def _derived(value: str) -> Iterator[str]:
    """Yield what little programs make of a secret: its hex, base64, and itself turned around."""
    content = os.fsencode(value)
    yield from (content.hex(), content.hex().upper(), value[::-1])
    yield from (base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode())
    for before in range(3):
        # Wherever it begins in what was encoded; the ends depend on what is around it.
        text = base64.b64encode(bytes(before) + content).decode()
        inner = text[-(-before * 8 // 6) : len(text) - 4 if text.endswith("=") else None]
        yield from (inner, inner.translate(_URL_SAFE))


_URL_SAFE = str.maketrans("+/", "-_")
