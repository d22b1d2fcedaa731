"""Secrets of the surroundings stand in no text that is kept or shown."""

from __future__ import annotations

import pytest

from trading_runtime.redaction import redact, redacted

SECRET = 'p@ss"wo\\rd-5f3a9c'  # noqa: S105 - made up


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
