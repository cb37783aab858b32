"""The courier: takes each due webhook to its receiver, and lets no receiver hold up another."""

import asyncio
import contextlib
from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import structlog

from filmgate.core.delivery import Delivery
from filmgate.core.errors import Conflict, StoreUnavailable
from filmgate.ports import Ports
from filmgate.ports.presenter import Presenter
from filmgate.ports.signals import DELIVERIES
from filmgate.ports.store import DeliveryQuery
from filmgate.service.deliver_webhook import deliver_webhook

MOST: Final = 256  # in flight
MOST_PER_HOST: Final = 4
PAGE: Final = 500
# Whatever was missed, or went wrong on our side, is found again within so long.
ROUND: Final = timedelta(seconds=60)
# A change is saved a moment after the time that it says.
OVERLAP: Final = timedelta(seconds=5)
TROUBLE_S: Final = 30.0  # for which a webhook rests after trouble of ours
BREATH_S: Final = 0.02  # so that a thousand ends a second are not a thousand looks
STOP_S: Final = 2.0  # for those in flight to come home; the others are tried again after the next start

_log = structlog.get_logger(__name__)


class Courier:
    """Delivers for as long as it runs; there is one for a store.

    Each host has a queue of its own, of which so many are in flight; the rest wait as mere ids, so
    that a black hole costs its own webhooks time and nobody else's.
    """

    def __init__(
        self, ports: Ports, presenter: Presenter, *, most: int = MOST, most_per_host: int = MOST_PER_HOST
    ) -> None:
        """Begin with nothing: what is due is in the store."""
        self._ports = ports
        self._presenter = presenter
        self._most = most
        self._most_per_host = most_per_host
        self._queues: dict[str, deque[str]] = {}
        self._flying: Counter[str] = Counter()  # by host
        self._known: set[str] = set()  # in a queue, in flight, or to be left alone for a while
        self._runs: set[asyncio.Task[None]] = set()
        self._looked_at: datetime | None = None
        self._round_at: datetime | None = None

    async def run(self) -> None:
        """Deliver what is due, and what becomes due, for as long as this is not cancelled."""
        hinted = asyncio.Event()
        leave = self._ports.signals.watch(DELIVERIES, hinted.set)
        try:
            while True:
                hinted.clear()
                wait_s = await self._look_again()
                await asyncio.sleep(BREATH_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await hinted.wait()
        finally:
            leave()
            await self._stop()

    async def run_once(self) -> None:
        """Try everything that is due now, once."""
        await self._look()
        while self._runs:
            await asyncio.gather(*self._runs)

    async def _look_again(self) -> float:
        """Look, and return for how many seconds there is no need to."""
        try:
            await self._look()
            return await self._until_next()
        except StoreUnavailable:
            _log.warning("courier_waits_for_the_store")
            return 1.0

    async def _look(self) -> None:
        """Queue what is due and not known yet."""
        now = self._ports.clock.now()
        if (
            self._round_at is None
            or self._looked_at is None
            or not self._round_at <= now < self._round_at + ROUND
        ):
            after, self._round_at = None, now
        else:
            after = (self._looked_at - OVERLAP, "")
        self._looked_at = now
        while True:
            page = await self._ports.store.deliveries(DeliveryQuery(due_at=now, due_after=after, limit=PAGE))
            for delivery in page:
                self._queue(delivery)
            self._fill()
            if len(page) < PAGE:
                return
            assert page[-1].next_at is not None, "what is due has its time"
            after = (page[-1].next_at, page[-1].id)
            await asyncio.sleep(0)  # a long list is nobody else's delay

    async def _until_next(self) -> float:
        now = self._ports.clock.now()
        later = DeliveryQuery(due_at=now + ROUND, due_after=(now, "\x7f"), limit=1)
        for delivery in await self._ports.store.deliveries(later):
            assert delivery.next_at is not None, "what is due has its time"
            return (delivery.next_at - now).total_seconds()
        return ROUND.total_seconds()

    def _queue(self, delivery: Delivery) -> None:
        if delivery.id not in self._known:
            self._known.add(delivery.id)
            host = urlsplit(delivery.url).netloc.lower()
            self._queues.setdefault(host, deque()).append(delivery.id)

    def _fill(self) -> None:
        """Send out whom there is room for: of each host one, then of each another, in turn."""
        began = True
        while began:
            began = False
            for host in tuple(self._queues):
                if len(self._runs) >= self._most:
                    return
                if self._flying[host] < self._most_per_host:
                    began = True
                    self._begin(host)

    def _begin(self, host: str) -> None:
        queue = self._queues.pop(host)
        delivery_id = queue.popleft()
        if queue:
            self._queues[host] = queue  # behind the others now
        self._flying[host] += 1
        run = asyncio.create_task(self._deliver(host, delivery_id), name=delivery_id)
        self._runs.add(run)

        def come_home(run: asyncio.Task[None]) -> None:
            self._runs.discard(run)
            self._flying[host] -= 1
            if not self._flying[host]:
                del self._flying[host]
            if not run.cancelled():
                self._fill()

        run.add_done_callback(come_home)

    async def _deliver(self, host: str, delivery_id: str) -> None:
        try:
            delivery = await self._ports.store.delivery(delivery_id)
            # Deleted meanwhile, or tried by somebody else?
            if delivery is not None and delivery.is_due(self._ports.clock.now()):
                after = await deliver_webhook(self._ports, self._presenter, delivery)
                _log.info("webhook_tried", host=host, **_facts(after))
        except Conflict:
            _log.info("webhook_changed_meanwhile", delivery_id=delivery_id)
        except StoreUnavailable:
            _log.warning("webhook_waits_for_the_store", delivery_id=delivery_id)
            self._leave_alone(delivery_id)
            return
        except Exception:  # noqa: BLE001  (one webhook's trouble is not another's)
            _log.exception("webhook_failed", delivery_id=delivery_id)
            self._leave_alone(delivery_id)
            return
        self._known.discard(delivery_id)

    def _leave_alone(self, delivery_id: str) -> None:
        """Forget it only in a while: trouble of ours must not become a storm for the receiver."""
        asyncio.get_running_loop().call_later(TROUBLE_S, self._known.discard, delivery_id)

    async def _stop(self) -> None:
        """Wait a moment for those in flight, and let go of the others."""
        runs = set(self._runs)
        self._queues.clear()
        if runs:
            await asyncio.wait(runs, timeout=STOP_S)
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)


def _facts(delivery: Delivery) -> dict[str, object]:
    last = delivery.tries[-1]
    return {
        "delivery_id": delivery.id,
        "task_id": delivery.task_id,
        "status": last.status,
        "error": last.error,
        "state": delivery.state.value,
    }
