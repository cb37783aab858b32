"""Webhooks are delivered for as long as this is open, by one process for all."""

from contextlib import AbstractAsyncContextManager

from filmgate.api.presenter import DialectPresenter
from filmgate.api.web import Web
from filmgate.bootstrap.service import Service, meanwhile
from filmgate.webhooks.courier import Courier


def delivering(service: Service, web: Web) -> AbstractAsyncContextManager[None]:
    """Deliver what is due meanwhile; links in it begin as `web` says."""
    ports = service.ports

    async def deliver() -> None:
        await Courier(ports, DialectPresenter(ports, web)).run()

    return meanwhile(service.on_duty("courier", deliver), name="courier")
