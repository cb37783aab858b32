"""Delivering one webhook: what is sent, how it is signed, and what is kept of it."""

import itertools
import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from filmgate.api.presenter import DialectPresenter
from filmgate.core.change import advance, submission, tidying
from filmgate.core.delivery import SCHEDULE_S, Delivery, DeliveryState, event_id
from filmgate.core.errors import Conflict
from filmgate.core.task import Status, Task, TaskError
from filmgate.ports.sender import Answered, Unanswered
from filmgate.ports.store import DeliveryQuery
from filmgate.service.deliver_webhook import deliver_webhook
from filmgate.service.manage_webhooks import replay_webhook, rotate_webhook_secret, webhook_secrets
from filmgate.service.save import save
from tests.calls import WEB
from tests.fakes import MemorySender, World, a_task, a_world, an_output

URL = "https://ada.example/hook"
# From the specification's own page and libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def an_ended_task(world: World, status: Status = Status.SUCCEEDED, **changes: object) -> Delivery:
    """Return the delivery of a task that has just ended."""
    task = a_task(**({"callback_url": URL} | changes))  # type: ignore[arg-type]
    await save(world.ports, submission(task))
    return await ended(world, task, status)


async def ended(world: World, task: Task, status: Status = Status.SUCCEEDED) -> Delivery:
    """End a task, and return what it has to tell."""
    running = task.to(Status.RUNNING, at=world.clock.now())
    await save(world.ports, advance(task, running))
    after = running.to(status, at=world.clock.now())
    if status is Status.SUCCEEDED:
        after = replace(after, outputs=(an_output(),), charged=1, progress=100)
    if status is Status.FAILED:
        after = replace(after, error=TaskError(code="moderated", message="The prompt was refused."))
    await save(world.ports, advance(running, after))
    (delivery,) = await world.store.deliveries(DeliveryQuery(task_id=task.id))
    return delivery


def sender_of(world: World) -> MemorySender:
    assert isinstance(world.ports.sender, MemorySender)
    return world.ports.sender


async def deliver(world: World, delivery: Delivery) -> Delivery:
    return await deliver_webhook(world.ports, DialectPresenter(world.ports, WEB), delivery)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world in which verifiers live at the world's time too."""
    world = a_world(ada=100)

    class WorldsTime(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return world.clock.now()

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", WorldsTime)
    return world


# --- what is sent -------------------------------------------------------------------------------


async def test_a_webhook_is_signed_and_says_what_came_of_the_task(world: World) -> None:
    delivery = await an_ended_task(world, traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")

    after = await deliver(world, delivery)

    (post,) = sender_of(world).posts
    (secret,) = await webhook_secrets(world.ports, "acct_ada")
    body = Webhook(secret).verify(post.body, dict(post.headers))
    assert post.url == URL
    assert post.headers["content-type"] == "application/json"
    assert post.headers["webhook-id"] == delivery.id == event_id(delivery.task_id, 3)
    assert post.headers["webhook-timestamp"] == str(int(world.clock.now().timestamp()))
    assert post.headers["traceparent"].startswith("00-1111")
    assert body["type"] == "video.completed"
    assert body["data"]["id"] == delivery.task_id
    assert after.state is DeliveryState.DELIVERED
    assert await world.store.delivery(delivery.id) == after


async def test_every_try_has_the_same_id_and_a_time_and_signature_of_its_own(world: World) -> None:
    delivery = await an_ended_task(world)
    sender_of(world).answers = [Answered(status=500)]

    again = await deliver(world, delivery)
    world.clock.advance(5)
    await deliver(world, again)

    first, second = sender_of(world).posts
    (secret,) = await webhook_secrets(world.ports, "acct_ada")
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    Webhook(secret).verify(second.body, dict(second.headers))


async def test_links_are_made_anew_for_each_try(world: World) -> None:
    delivery = await an_ended_task(world)
    sender_of(world).answers = [Answered(status=500)]

    again = await deliver(world, delivery)
    world.clock.advance(86_400)
    await deliver(world, again)

    urls = [json.loads(post.body)["data"]["url"] for post in sender_of(world).posts]
    assert urls[0] != urls[1]


async def test_for_a_day_after_a_rotation_each_secret_verifies(world: World) -> None:
    (old,) = await webhook_secrets(world.ports, "acct_ada")
    new, beside = await rotate_webhook_secret(world.ports, "acct_ada")

    await deliver(world, await an_ended_task(world))
    world.clock.advance(86_400)
    await deliver(world, await an_ended_task(world, n=2))

    within, later = sender_of(world).posts
    assert beside == old
    assert len(within.headers["webhook-signature"].split(" ")) == 2
    assert len(later.headers["webhook-signature"].split(" ")) == 1
    world.clock.advance(-86_400)
    Webhook(old).verify(within.body, dict(within.headers))
    Webhook(new).verify(within.body, dict(within.headers))
    world.clock.advance(86_400)
    Webhook(new).verify(later.body, dict(later.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(later.body, dict(later.headers))


def test_the_standards_own_vector_is_signed_alike() -> None:
    at = datetime.fromtimestamp(1_614_265_330, UTC)

    signature = Webhook(SECRET).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_thousand_bodies_verify_and_a_bit_more_or_less_does_not(world: World) -> None:
    dice = random.Random(20_261_120)
    (secret,) = await webhook_secrets(world.ports, "acct_ada")
    hook = Webhook(secret)
    delivery = await an_ended_task(world)
    task = await world.store.task(delivery.task_id)
    assert task is not None

    for _ in range(1_000):
        prompt = "".join(chr(dice.choice([*range(32, 0x2FF), *range(0x1F300, 0x1F5FF)])) for _ in range(40))
        world.put(replace(task, generation=replace(task.generation, prompt=prompt)))
        world.store.outbox[delivery.id] = delivery
        await deliver(world, delivery)
        post = sender_of(world).posts.pop()
        headers = dict(post.headers)

        said = hook.verify(post.body, headers)

        assert said["data"]["prompt"] == prompt
        spoilt = bytearray(post.body)
        at = dice.randrange(len(spoilt))
        spoilt[at] ^= 1 << dice.randrange(7)  # the eighth would make it something else than text
        name = dice.choice(["webhook-id", "webhook-timestamp", "webhook-signature"])
        digit = dice.randrange(3, len(headers[name]) - 2)
        other = "7" if headers[name][digit] != "7" else "8"
        lied = headers | {name: headers[name][:digit] + other + headers[name][digit + 1 :]}
        for body, told in ((bytes(spoilt), headers), (post.body, lied)):
            with pytest.raises((WebhookVerificationError, UnicodeDecodeError)):
                hook.verify(body, told)


# --- what is kept -------------------------------------------------------------------------------


async def test_ten_tries_at_the_schedule_and_it_is_given_up(world: World) -> None:
    delivery = await an_ended_task(world)
    sender_of(world).answers = [Answered(status=500)] * 20
    tried_at = []

    while delivery.next_at is not None:
        world.clock.at = delivery.next_at
        tried_at.append(world.clock.at)
        delivery = await deliver(world, delivery)

    waits = [(b - a).total_seconds() for a, b in itertools.pairwise(tried_at)]
    assert len(sender_of(world).posts) == 10
    assert all(0.8 * plan <= wait <= 1.2 * plan for wait, plan in zip(waits, SCHEDULE_S[1:], strict=True))
    assert timedelta(hours=60) < tried_at[-1] - tried_at[0] < timedelta(hours=91)
    assert delivery.state is DeliveryState.DEAD
    assert (await world.store.standing()).deliveries_dead == 1


@pytest.mark.parametrize(
    ("answer", "state", "waits_s"),
    [
        (Answered(status=204), DeliveryState.DELIVERED, None),
        (Answered(status=410), DeliveryState.GONE, None),
        (Answered(status=302), DeliveryState.PENDING, 5),
        (Answered(status=404), DeliveryState.PENDING, 5),
        (Answered(status=500), DeliveryState.PENDING, 5),
        (Answered(status=429, retry_after_s=10**6), DeliveryState.PENDING, 120),
        (Answered(status=503, retry_after_s=30), DeliveryState.PENDING, 30),
        (Answered(status=502), DeliveryState.PENDING, 60),
        (Unanswered(reason="no answer within 15 seconds"), DeliveryState.PENDING, 60),
    ],
)
async def test_each_answer_has_its_outcome(
    world: World, answer: Answered | Unanswered, state: DeliveryState, waits_s: float | None
) -> None:
    delivery = await an_ended_task(world)
    sender_of(world).answers = [answer]

    after = await deliver(world, delivery)

    (this,) = after.tries
    assert after.state is state
    if waits_s is None:
        assert after.next_at is None
    else:
        assert after.next_at is not None
        assert 0.8 * waits_s <= (after.next_at - world.clock.now()).total_seconds() <= 1.2 * waits_s
    match answer:
        case Answered(status=status):
            assert (this.status, this.error) == (status, None)
        case Unanswered(reason=reason):
            assert (this.status, this.error) == (None, reason)


async def test_a_delivery_touches_neither_the_task_nor_the_ledger(world: World) -> None:
    delivery = await an_ended_task(world)
    task, rows = await world.store.task(delivery.task_id), list(world.store.ledger)
    sender_of(world).answers = [Answered(status=410)]

    await deliver(world, delivery)

    assert await world.store.task(delivery.task_id) == task
    assert world.store.ledger == rows


async def test_dying_after_the_post_repeats_it_under_the_same_id(world: World) -> None:
    delivery = await an_ended_task(world)
    world.store.fails = Conflict("the process is gone")

    with pytest.raises(Conflict):
        await deliver(world, delivery)
    world.store.fails = None
    (due,) = await world.store.deliveries(DeliveryQuery(due_at=world.clock.now()))
    after = await deliver(world, due)

    first, second = sender_of(world).posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert len(after.tries) == 1


async def test_two_who_deliver_the_same_keep_one_try(world: World) -> None:
    delivery = await an_ended_task(world)
    await deliver(world, delivery)

    with pytest.raises(Conflict):
        await deliver(world, delivery)

    kept = await world.store.delivery(delivery.id)
    assert kept is not None
    assert len(kept.tries) == 1


async def test_deleting_a_task_takes_its_webhook_along(world: World) -> None:
    delivery = await an_ended_task(world)
    task = await world.store.task(delivery.task_id)
    assert task is not None

    await save(world.ports, tidying(task, task.erased(at=world.clock.now())))

    assert await world.store.delivery(delivery.id) is None
    with pytest.raises(Conflict):
        await replay_webhook(world.ports, delivery)


async def test_a_replay_is_due_at_once(world: World) -> None:
    delivery = await deliver(world, await an_ended_task(world))
    world.clock.advance(86_400)

    again = await replay_webhook(world.ports, delivery)
    after = await deliver(world, again)

    assert [post.headers["webhook-id"] for post in sender_of(world).posts] == [delivery.id] * 2
    assert after.state is DeliveryState.DELIVERED
    assert len(after.tries) == 2
