"""Preprod: one server, a copy of Sese-AI with halved limits."""

from stacks.placing import preproduction as fleet

__all__ = ["fleet"]
