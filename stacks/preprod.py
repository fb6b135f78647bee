"""Preprod: one server, a copy of Sese-AI with halved limits."""

from model.fleet import Fleet
from model.image import ImageLock
from model.settings import Settings
from stacks.placing import sese_ai


def fleet(settings: Settings, lock: ImageLock, authority: str) -> Fleet:
    """Everything of preprod."""
    return sese_ai(settings, lock, authority, host="preprod", scale=0.5)
