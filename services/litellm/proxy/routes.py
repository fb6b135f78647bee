"""What the hook adds to LiteLLM's own paths: BytePlus's films, behind LiteLLM's keys, and the budget's metrics."""

from collections.abc import Callable
from typing import Any

from fastapi import Depends
from fastapi.responses import JSONResponse, PlainTextResponse

from services.litellm.proxy import admission, films
from services.litellm.proxy.admission import Served
from services.litellm.proxy.films import Films
from services.litellm.proxy.ledger import Ledger
from services.litellm.proxy.metrics import Usage
from services.litellm.proxy.settings import ProxySettings

METRICS = "/budget/metrics"
FILMS = f"/byteplus/api/v3{films.PATH}"
"""As at BytePlus, so that a client changes its base URL and its key."""


def add(films: Films, ledger: Ledger, usage: Usage, settings: ProxySettings, ended: Callable[[Served], None]) -> None:
    """Serve them in the process that this is loaded into; `ended` hears of the end of each request."""
    from litellm.proxy.auth.user_api_key_auth import user_api_key_auth  # They import the hook.
    from litellm.proxy.proxy_server import app

    async def create(request: dict[str, Any]) -> JSONResponse:
        status, document, headers = await films.create(request)
        return JSONResponse(document, status, headers)

    async def show(task: str) -> JSONResponse:
        status, document, headers = await films.show(task)
        return JSONResponse(document, status, headers)

    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(usage.text(await ledger.account(), settings))

    keyed = [Depends(user_api_key_auth)]
    app.add_api_route(FILMS, create, methods=["POST"], dependencies=keyed)
    app.add_api_route(f"{FILMS}/{{task}}", show, methods=["GET"], dependencies=keyed)
    app.add_api_route(METRICS, metrics, methods=["GET"])
    admission.close(app, ended)
