"""Production: Sese-AI at full size."""

from model.fleet import Fleet
from model.image import ImageLock
from model.settings import Settings
from stacks.placing import sese_ai


def fleet(settings: Settings, lock: ImageLock, authority: str) -> Fleet:
    """Everything of production."""
    return sese_ai(settings, lock, authority, host="sese")
