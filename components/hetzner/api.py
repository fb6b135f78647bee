"""Hetzner's API as we ask it ourselves, beside the provider."""

import os

from hcloud import APIException, Client
from requests import RequestException

NO_ANSWER = (APIException, RequestException)
"""What an answer that is none is raised as."""
_API = "https://api.hetzner.cloud/v1"


def client(token: str) -> Client:
    """The project of a token, at HCLOUD_ENDPOINT where that is set: the provider looks there too."""
    return Client(token=token, application_name="vpai", api_endpoint=os.environ.get("HCLOUD_ENDPOINT") or _API)
