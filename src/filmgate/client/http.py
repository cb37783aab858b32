"""Steps as httpx2 does them: what the blocking and the awaiting client share."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import httpx2

from filmgate.client.errors import FilmgateError, Unreachable
from filmgate.client.steps import Heard, Reply, Request

DEFAULT_URL: Final = "http://127.0.0.1:8080"
CONNECT_S: Final = 10.0
AGENT: Final = f"filmgate-python/{version('filmgate')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Which server is asked, and with whose key."""

    url: str
    api_key: str = field(repr=False)

    @staticmethod
    def of(base_url: str | None, api_key: str | None, environ: Mapping[str, str] = os.environ) -> "Server":
        """Return the one that was named, here or in the environment."""
        url = base_url or environ.get("FILMGATE_URL") or DEFAULT_URL
        key = api_key or environ.get("FILMGATE_API_KEY")
        if not key:
            raise FilmgateError("an API key is needed: give api_key, or set FILMGATE_API_KEY")
        if not url.startswith(("http://", "https://")):
            raise FilmgateError(f"{url!r} is not the address of a server: it should begin with http(s)://")
        # People have the address of an OpenAI client at hand, which ends in /v1.
        return Server(url=url.rstrip("/").removesuffix("/v1"), api_key=key)

    def message(
        self, http: httpx2.Client | httpx2.AsyncClient, request: Request, usual_timeout_s: float
    ) -> httpx2.Request:
        """Return a request as it goes out."""
        timeout_s = usual_timeout_s if request.timeout_s is None else request.timeout_s
        return http.build_request(
            request.method,
            self.url + request.path,
            params=dict(request.query) or None,
            headers={"user-agent": AGENT, **request.headers, "authorization": f"Bearer {self.api_key}"},
            json=request.json,
            files=list(request.parts) or None,
            timeout=httpx2.Timeout(timeout_s, connect=CONNECT_S),
        )

    def unreachable(self, error: httpx2.RequestError) -> Unreachable:
        """Return that the server could not be asked."""
        return Unreachable(f"{self.url}: {str(error) or type(error).__name__}")


def reply_to(response: httpx2.Response, *, whole: bool) -> Reply:
    """Return an answer, with its body if that was read."""
    return Reply(
        status=response.status_code,
        headers=response.headers,
        body=response.content if whole else b"",
    )


def heard_of(event: httpx2.ServerSentEvent) -> Heard:
    """Return one message of a stream."""
    return Heard(event=event.event, data=event.data, id=event.id)
