"""Hetzner's API, called directly besides the provider."""

import os

from hcloud import APIException, Client
from requests import RequestException

NO_ANSWER = (APIException, RequestException)
"""Exceptions that mean that the API gave no usable answer."""
_API = "https://api.hetzner.cloud/v1"


def client(token: str) -> Client:
    """A client for the token's project, at HCLOUD_ENDPOINT where it is set: the provider reads this variable too."""
    return Client(token=token, application_name="vpai", api_endpoint=os.environ.get("HCLOUD_ENDPOINT") or _API)
