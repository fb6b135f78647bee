"""Diun's configuration and its file of images, read as Diun reads them. What the real one only logs ends the start here."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from standin import Refused

from lab.contract import Contract, keys

_CONTRACT = Contract.load(Path(__file__).with_name("contract.json"))


def start(_: list[str]) -> None:
    """Refuse what Diun would not watch."""
    settings = json.loads(Path(os.environ["CONFIG"]).read_text())
    refused = list(wrong(settings))
    if file := settings.get("providers", {}).get("file", {}).get("filename"):
        # The validator's words (crazy-max/diun v4.31.0, internal/model/provider_file.go).
        if not Path(file).is_file():
            refused.append(f"Field validation for 'Filename' failed on the 'file' tag: {file}")
        else:
            refused += unwatched(json.loads(Path(file).read_text()))
    if refused:
        raise Refused("; ".join(refused))


def wrong(settings: Any) -> Iterator[str]:
    """What is wrong in diun.yml."""
    if "providers" not in settings:
        yield "at least one provider is required"
    yield from _CONTRACT.refused("keys", keys(settings))
    yield from _CONTRACT.refused("chat ids", settings.get("notif", {}).get("telegram", {}).get("chatIDs", ()))


def unwatched(images: Any) -> Iterator[str]:
    """What is wrong in the file of images."""
    yield from _CONTRACT.refused("images", (key for key in keys(images)))
    yield from _CONTRACT.refused("names", (image["name"] for image in images))
    yield from _CONTRACT.refused("sort_tags", (image["sort_tags"] for image in images if "sort_tags" in image))
