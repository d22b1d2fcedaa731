"""Secrets of the surroundings stand in no text that is kept or shown."""

from __future__ import annotations

import base64
import html
import json
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from trading_runtime.redaction import declare, redact, redacted

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = 'p@ss"wo\\rd-5f3a9c'  # noqa: S105 - made up
LETTERS = "abcdefghijklmnop"
PRIVATE = "PRIVATE KEY"
"""Keys are made from parts, so that no scanner for secrets finds one in this file."""


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "GHCR_TOKEN",
        "registry_password",
        "BROKER_API_KEY",
        "DATABASE_DSN",
        "BROKER_PASSPHRASE",
    ],
)
def test_the_value_of_a_variable_with_a_secret_is_hidden(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)

    assert redact(f"it was {SECRET}, twice {SECRET}") == "it was [hidden], twice [hidden]"
    assert redacted({"a": [SECRET, 1, None], "b": {"c": f"x{SECRET}"}}) == {
        "a": ["[hidden]", 1, None],
        "b": {"c": "x[hidden]"},
    }


def test_a_secret_inside_json_is_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_TOKEN", SECRET)

    assert "5f3a9c" not in redact('{"token": "p@ss\\"wo\\\\rd-5f3a9c"}')


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:hush@host/x", "http://[hidden]@host/x"),
        ("s3://key:hush@bucket/x and more", "s3://[hidden]@bucket/x and more"),
        ("https://ghp_abc@host", "https://[hidden]@host"),
        ("https://host/x?token=hush&a=1", "https://host/x?token=[hidden]&a=1"),
        (
            "https://host/?a=1&X-Amz-Signature=hush#b",
            "https://host/?a=1&X-Amz-Signature=[hidden]#b",
        ),
        ("http://ada:hu@sh@host/x", "http://[hidden]@host/x"),
        ("https://host/c?sv=1&sig=a%2Bb&se=2", "https://host/c?sv=1&sig=[hidden]&se=2"),
        ("https://host/x?user=ada&pass=hush", "https://host/x?user=ada&pass=[hidden]"),
        (
            "no answer of url: /v5/order?api_key=hush",
            "no answer of url: /v5/order?api_key=[hidden]",
        ),
        ("https://host/t/tk-hush-hush-hush/mine", "https://host/t/[hidden]/mine"),
        ("is it so? a=1 & b=2", "is it so? a=1 & b=2"),
        ("https://host/x?a=1", "https://host/x?a=1"),
        ("mail ada@host, see s3://bucket/a@b", "mail ada@host, see s3://bucket/a@b"),
    ],
)
def test_what_gives_access_in_an_address_is_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_the_password_of_an_address_in_a_variable_is_hidden_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:hush-5f3a%21@proxy:3128")

    assert redact("refused for hush-5f3a%21 or hush-5f3a!, ada") == (
        "refused for [hidden] or [hidden], ada"
    )


@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("ada:hush-hush@proxy:3128", "hush-hush"),
        ("postgres://ada:hush@hush-hush@host/db", "hush@hush-hush"),
        ("postgres://ada:hush/hush-hush@host/db", "hush/hush-hush"),
        ("https://a:one-and-all@host/ https://b:hush-hush@host/", "hush-hush"),
    ],
)
def test_the_password_of_an_odd_address_is_hidden_anywhere(
    address: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE_TO", address)

    assert redact(f"it is {password}, {address}").startswith("it is [hidden], ")
    assert "hush" not in redact(address)


def test_each_part_of_a_secret_that_has_several_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [base64.b64encode(bytes(range(at, at + 48))).decode() for at in (0, 48, 96, 144)]
    monkeypatch.setenv("TLS_KEY", "\n".join(lines))
    monkeypatch.setenv("COOKIES", "sid=abcdef-0123456789; csrf=9876543210-zyxw")
    monkeypatch.setenv("DOCKER_AUTH", json.dumps({"auths": {"ghcr.io": {"auth": "dXNlcjpodXNo1"}}}))
    monkeypatch.setenv(
        "DB_CONN_STR", "Server=db1.example.com:5432;Password=hush-hush-123;Encrypt=1"
    )
    parts = [*lines, "abcdef-0123456789", "9876543210-zyxw", "dXNlcjpodXNo1", "hush-hush-123"]

    assert [redact(f"it is {part}.") for part in parts] == ["it is [hidden]."] * len(parts)


def test_a_variable_that_a_file_names_as_a_secret_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAIN_WORDS", "of-no-known-form")
    assert redact("it is of-no-known-form") == "it is of-no-known-form"

    declare(["PLAIN_WORDS"])
    assert redact("it is of-no-known-form") == "it is [hidden]"


@pytest.mark.parametrize(
    "write",
    [
        quote,
        lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
        quote_plus,
        html.escape,
        repr,
    ],
)
def test_a_secret_is_hidden_as_addresses_pages_and_python_write_it(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "p@ss w/o<r>d'&\"x-5f3a"  # noqa: S105 - made up
    monkeypatch.setenv("APP_PASSWORD", secret)

    shown = redact(f"it is {write(secret)} now").replace("'[hidden]'", "[hidden]")
    assert shown == "it is [hidden] now"


def test_ordinary_words_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada Lovelace")
    monkeypatch.setenv("TRADING_RUNTIME_PASS", "LICENCE_FILE")
    monkeypatch.setenv("BASE", "python:3.13-slim-bookworm@sha256:0123")
    words = "Ada Lovelace of LICENCE_FILE with 3.13-slim-bookworm, the bearer of news"
    assert redact(words) == words
    monkeypatch.setenv("SHORT_KEY", "run")
    monkeypatch.setenv("KEY_FILE", "/etc/keys/id_ed25519")
    monkeypatch.setenv("PLAIN", "plain-value-of-a-variable")
    text = "run with /etc/keys/id_ed25519 and plain-value-of-a-variable"

    assert redact(text) == text


@pytest.mark.parametrize("secret", ["AKCANARYKEYID0000001", "2024-20242024", "000000123456"])
def test_numbers_stay_whatever_a_secret_is_made_of(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", secret)
    text = "100000 USDT and 0.000001 BTC since 2024-01-01, order 000000123"

    assert redact(text) == text
    assert redact(f"it is {secret}.") == "it is [hidden]."


def test_a_secret_of_digits_is_hidden_in_a_text_of_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_TOKEN", "2026-0042:17.9-88")

    assert redact("O-20261129-2026-0042:17.9-88-1") == "O-20261129-[hidden]-1"
    assert redact("O-20261129-052456-001-000-12") == "O-20261129-052456-001-000-12"


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASS",
        "SMTP_PWD",
        "PGPASSFILE_PASS",
        "SLACK_HOOK",
        "db_pw",
        "SESSION_ID",
        "SMTP_PWD_2",
        "POLYMARKET_PK",
        "DYDX_MNEMONIC",
        "SEED_PHRASE",
        "MY_JWT",
        "STORAGE_SAS",
        "AUTHORIZATION",
    ],
)
def test_a_secret_under_another_usual_name_is_hidden(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "hunter2hunter2")

    assert redact("it is hunter2hunter2.") == "it is [hidden]."


LONG = "CaNaRy-s3cr3t-0123456789"


@pytest.mark.parametrize(
    "form",
    [
        LONG[:12],
        LONG[12:],
        LONG[5:20],
        LONG[::-1],
        LONG.encode().hex(),
        LONG.encode().hex().upper(),
        "Q2FOYVJ5LXMzY3IzdC0wMTIzNDU2Nzg5",
        "Q2FOYVJ5LXMz",
    ],
)
def test_what_a_strategy_derives_from_a_secret_is_hidden(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", LONG)

    assert redact(f"it is {form} now") == "it is [hidden] now"


def test_little_is_left_of_a_secret_inside_something_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DB_PASSWORD", LONG)
    encoded = base64.b64encode(f"user:{LONG}!".encode()).decode()

    shown = redact(f"Basic {encoded}")

    left = [part for part in shown.removeprefix("Basic ").split("[hidden]") if part]
    assert len(left) == 2
    assert max(map(len, left)) <= 8


@pytest.mark.parametrize(
    "text",
    [
        f"https://hooks.slack.com/services/T00/B00/{LETTERS}",
        f"https://discord.com/api/webhooks/123456/{LETTERS}",
        f"https://api.telegram.org/bot12345:{LETTERS}",
        f"ghp_{LETTERS}1234",
        f"xoxb-{LETTERS}",
        f"AKIA{LETTERS.upper()}",
        f"-----BEGIN RSA {PRIVATE}-----\n{LETTERS}\n-----END RSA {PRIVATE}-----",
        f"-----BEGIN PGP {PRIVATE} BLOCK-----\n{LETTERS}\n-----END PGP {PRIVATE} BLOCK-----",
        f"client-key-data: LS0tLS1CRUdJTi{LETTERS}==",
        f"https://acme.webhook.office.com/webhookb2/1f-aa@3c/IncomingWebhook/{LETTERS}/9a",
        f"https://hooks.zapier.com/hooks/catch/123456/{LETTERS}/",
        f"{{'Authorization': 'Bearer {LETTERS}'}}",
        f"Authorization: Basic {LETTERS}==",
        f"12345678:AA{LETTERS * 2}",
        f"pypi-{LETTERS}",
        f"npm_{LETTERS}",
        f"hf_{LETTERS}",
        f"AIza{LETTERS * 2}",
        f"sk_test_{LETTERS}",
        f"SG.{LETTERS}.{LETTERS}",
        f"AGE-SECRET-KEY-1{LETTERS.upper()}",
    ],
)
def test_what_gives_access_by_its_form_is_hidden(text: str) -> None:
    shown = redact(f"it is {text} now")

    assert LETTERS not in shown.lower()
    assert "[hidden]" in shown
    assert shown.endswith(" now")


@pytest.mark.parametrize(
    "text",
    [
        "?key" * 30_000,
        "?sig" * 30_000,
        "?" * 60_000,
        "://a@" * 30_000,
        "/t/a" * 30_000,
        "eyJ-" * 10_000,
        "://" * 30_000,
        f"-----BEGIN {PRIVATE}-----" * 4_000,
    ],
)
def test_a_text_made_to_take_long_does_not(text: str) -> None:
    started = time.process_time()
    redact(text)

    assert time.process_time() - started < 1
