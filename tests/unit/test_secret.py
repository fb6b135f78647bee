"""Secrets travel as references and show their values only where they are resolved."""

import hashlib

import pytest

from model.secret import Generated, Secret, references, resolve

PASSWORD = Secret(name="redis_password", source=Generated())


def test_formatting_a_secret_yields_a_reference() -> None:
    text = f"redis://litellm:{PASSWORD}@redis"
    assert text == "redis://litellm:${secret:redis_password}@redis"
    assert references(text) == {"redis_password"}
    assert resolve(text, {"redis_password": "s3"}) == "redis://litellm:s3@redis"


def test_a_digest_is_taken_of_the_value() -> None:
    assert resolve(f"#{PASSWORD.sha256}", {"redis_password": "s3"}) == "#" + hashlib.sha256(b"s3").hexdigest()


def test_a_value_that_looks_like_a_reference_is_not_resolved_again() -> None:
    assert resolve(f"{PASSWORD}", {"redis_password": "${secret:other}"}) == "${secret:other}"


def test_a_secret_without_a_value_is_named() -> None:
    with pytest.raises(KeyError, match="redis_password"):
        resolve(f"{PASSWORD}", {})
