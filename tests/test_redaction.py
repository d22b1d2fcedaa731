"""Secrets of the surroundings stand in no text that is kept or shown."""

from __future__ import annotations

import base64
import time

import pytest

from trading_runtime.redaction import redact, redacted

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


def test_ordinary_words_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT_KEY", "run")
    monkeypatch.setenv("KEY_FILE", "/etc/keys/one")
    monkeypatch.setenv("PLAIN", "plain-value-of-a-variable")
    text = "run with /etc/keys/one and plain-value-of-a-variable"

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
    "name", ["DB_PASS", "SMTP_PWD", "PGPASSFILE_PASS", "SLACK_HOOK", "db_pw", "SESSION_ID"]
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
    ],
)
def test_what_gives_access_by_its_form_is_hidden(text: str) -> None:
    shown = redact(f"it is {text} now")

    assert LETTERS not in shown.lower()
    assert "[hidden]" in shown
    assert shown.endswith(" now")


@pytest.mark.parametrize(
    "text",
    ["?key" * 30_000, "eyJ-" * 10_000, "://" * 30_000, f"-----BEGIN {PRIVATE}-----" * 4_000],
)
def test_a_text_made_to_take_long_does_not(text: str) -> None:
    started = time.process_time()
    redact(text)

    assert time.process_time() - started < 1
