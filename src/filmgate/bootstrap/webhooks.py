"""Webhooks are delivered for as long as this is open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from filmgate.api.presenter import DialectPresenter
from filmgate.api.web import Web
from filmgate.bootstrap.service import meanwhile
from filmgate.ports import Ports
from filmgate.webhooks.courier import Courier


@asynccontextmanager
async def delivering(ports: Ports, web: Web) -> AsyncIterator[None]:
    """Deliver what is due meanwhile; links in it begin as `web` says."""
    async with meanwhile(Courier(ports, DialectPresenter(ports, web)).run(), name="courier"):
        yield
