"""Secrets travel as references and show their values only where they are resolved."""

import hashlib
import subprocess
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.secret import Generated, Secret, references, resolve, sourced

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


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_HARD = st.sampled_from(["'", '"', "\n", "$HOME", "\\", "☃", "🙂", "`id`", "$(id)", "'; id; '", "${secret:x}", " ", "\t", "!"])
_VALUES = st.lists(st.one_of(_TEXT, _HARD)).map("".join)


@settings(max_examples=200, deadline=None)
@given(plain=_VALUES.filter(lambda text: not references(text)), value=_VALUES, again=_VALUES)
def test_sh_reads_back_every_text_and_every_secret(plain: str, value: str, again: str) -> None:
    secret, other = Secret(name="a", source=Generated()), Secret(name="b", source=Generated())
    environment = {"PLAIN": plain, "SECRET": f"{secret}", "BOTH": f"{plain}{other}{plain}{secret}", "SUM": secret.sha256}
    file = resolve(sourced(environment), {"a": value, "b": again})
    with tempfile.NamedTemporaryFile("w", newline="") as written:
        written.write(file)
        written.flush()
        read = ["sh", "-c", f"set -a; . {written.name}; exec env -0"]
        printed = subprocess.run(read, capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"}).stdout.decode()
    shown = dict(line.split("=", 1) for line in printed.split("\0") if line)
    assert shown["PLAIN"] == plain
    assert shown["SECRET"] == value
    assert shown["BOTH"] == f"{plain}{again}{plain}{value}"
    assert shown["SUM"] == hashlib.sha256(value.encode()).hexdigest()


def test_what_no_variable_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        sourced({"A": "a\0b"})
