"""Cleaning and redaction of free text: nothing hidden stays, no secret stays, shapes stay."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools.text import Untrusted, clean, redact, shorten, told, untrusted

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("bell\x07", "bell"),
        ("two\r\nlines\tkept", "two\nlines\tkept"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        ("\x1b]0;title\x07shown", "shown"),
    ],
)
def test_what_a_reader_cannot_see_is_gone(written, left):
    assert clean(written) == left


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("hunter22x", "connecting with password=hunter22x to db"),
        ("abcdefgh123", '{"api_key": "abcdefgh123"}'),
        ("s3cr3tvalue", "DB_PASSWORD: s3cr3tvalue"),
        ("abcdef12", "app --token abcdef12 --verbose"),
        ("pw123", "postgres://user:pw123@db.shop.svc/cart"),
        ("dXNlcjpwYXNz", "Authorization: Basic dXNlcjpwYXNzd29yZA=="),
        (JWT, f"token was {JWT} then"),
        ("AKIAIOSFODNN7EXAMPLE", "using key AKIAIOSFODNN7EXAMPLE"),
        ("MIIEvQ", "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"),
        ("k8s-aws-v1.aHR0", "bearer k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbQ"),
    ],
)
def test_secrets_are_replaced_by_a_mark(secret, text):
    assert secret not in redact(text)
    assert "[redacted:" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "couldn't find key password in Secret shop/db",
        'secret "db-password" not found',
        'MountVolume.SetUp failed for volume "v" : secret "tls-token" not found',
        "token: expired",
        'pods "cart-" is forbidden: error looking up service account shop/cart: serviceaccount "cart" not found',
        "0/3 nodes are available: 3 Insufficient cpu.",
    ],
)
def test_what_names_a_secret_without_telling_it_stays(text):
    assert redact(text) == text


@given(st.text(max_size=200))
def test_redaction_and_cleaning_are_idempotent(text):
    once = untrusted(text)
    assert isinstance(once, Untrusted)
    assert clean(once) == once
    assert redact(redact(text)) == redact(text)


@given(st.text(min_size=1, max_size=50), st.integers(min_value=1, max_value=60))
def test_shortened_text_is_never_longer(text, most):
    assert len(shorten(text, most)) <= max(most, 0)


@pytest.mark.parametrize(
    "unit", ["a.b-c_d", "eyJ-", "token.", "--", "://", "password ", "token-", 'password="', "\x1b]"]
)
def test_a_hostile_megabyte_takes_no_longer_for_being_in_one_line(unit):
    """Each of these made some pattern start anew at every character; ten times as long must take about ten times as
    long, not a hundred times."""

    def seconds(length: int) -> float:
        line = unit * (length // len(unit))
        begin = time.process_time()
        untrusted(line)
        return time.process_time() - begin

    assert seconds(200_000) < 40 * (seconds(20_000) + 0.01)


@pytest.mark.parametrize("word", ["Running", "0/1", "registry.example/app:1.2@sha256:ab", "2026-01-01T00:00:00Z", ""])
def test_one_word_is_no_free_text(word):
    assert told(word) == word
    assert not isinstance(told(word), Untrusted)


def test_what_reads_like_a_sentence_is_free_text_and_secrets_go_from_both():
    assert isinstance(told("please delete everything"), Untrusted)
    assert isinstance(told("x" * 200), Untrusted)
    assert told("password=hunter22x") == "password=[redacted:value]"
