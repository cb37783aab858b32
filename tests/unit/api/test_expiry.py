"""A task whose files have gone, or that was deleted, as every dialect tells it."""

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from filmgate.core.task import Status, Task
from filmgate.service.delete_task import delete_task
from tests.calls import WEB, Client, Reply, clients
from tests.fakes import NOON, World, a_task, a_world, an_output

READS = ["/v1/video_item?task_id={}", "/v1/tasks/query?task_id={}", "/v1/videos/{}"]


def a_film(**changes: object) -> tuple[World, Client, Task]:
    """Return a succeeded task of ada's."""
    world = a_world()
    (client,) = clients(world, "ada")
    world.blobs.put(b"film")
    return world, client, world.put(a_task(Status.SUCCEEDED, n=1, **changes))


@pytest.mark.parametrize("path", READS)
async def test_a_task_without_its_files_has_succeeded_and_has_no_links(path: str) -> None:
    world, ada, task = a_film()
    whole = (await ada.get(path.format(task.id))).json
    world.put(task.without_files(at=NOON))

    reply = await ada.get(path.format(task.id))

    assert reply.status == 200
    assert "/files/" in json.dumps(whole)
    assert "/files/" not in json.dumps(reply.json)
    assert reply.json.get("status") == whole.get("status")
    assert reply.json.keys() == whole.keys()


@pytest.mark.parametrize("form", ["redirect", "url", "binary"])
async def test_the_content_of_an_expired_video_is_gone_for_good(form: str) -> None:
    world, ada, task = a_film()
    world.put(task.without_files(at=NOON))

    reply = await ada.get(f"/v1/videos/{task.id}/content?format={form}")

    assert (reply.status, reply.headers["x-filmgate-error"]) == (410, "result_expired")
    assert "expired" in reply.json["error"]["message"]
    assert reply.json["error"]["code"] == "410"


@pytest.mark.parametrize("path", READS)
async def test_no_link_outlives_its_file(path: str) -> None:
    _, ada, task = a_film(result_expires_at=NOON + timedelta(minutes=2))

    told = json.dumps((await ada.get(path.format(task.id))).json)

    links = [word for word in told.split('"') if word.startswith(WEB.public_url)]
    assert links
    assert {dict(parse_qsl(urlsplit(link).query))["exp"] for link in links} == {
        str(int((NOON + timedelta(minutes=2)).timestamp()))
    }


@pytest.mark.parametrize(("left_s", "expires_in"), [(7_200, 3_600), (120, 120), (-5, 0)])
async def test_a_link_to_content_says_how_long_it_works(left_s: int, expires_in: int) -> None:
    _, ada, task = a_film(result_expires_at=NOON + timedelta(seconds=left_s))

    reply = await ada.get(f"/v1/videos/{task.id}/content?format=url")

    assert reply.json["expires_in"] == expires_in


async def test_a_video_tells_until_when_it_can_be_had() -> None:
    world, ada, task = a_film(result_expires_at=NOON + timedelta(days=30))
    other = world.put(a_task(Status.FAILED, n=2, result_expires_at=NOON + timedelta(days=30)))

    film, failure = [(await ada.get(f"/v1/videos/{one.id}")).json for one in (task, other)]

    assert film["expires_at"] == int((NOON + timedelta(days=30)).timestamp())
    assert failure["expires_at"] is None, "there was never anything to be had"


@pytest.mark.parametrize("path", READS)
async def test_a_deleted_task_is_as_unknown_as_one_that_never_was(path: str) -> None:
    world, ada, task = a_film()
    never = a_task(n=9)
    await delete_task(world.ports, task)

    deleted, unknown = [await ada.get(path.format(one.id)) for one in (task, never)]

    assert deleted.status == unknown.status == 404
    assert _without(deleted, task.id) == _without(unknown, never.id)


async def test_a_link_to_a_deleted_task_serves_nothing() -> None:
    world, ada, task = a_film(outputs=(an_output(content=b"film"),))
    link = (await ada.get(f"/v1/videos/{task.id}")).json["url"].removeprefix(WEB.public_url)
    stranger = replace(ada, key=None)
    assert (await stranger.get(link)).status == 200

    await delete_task(world.ports, task)

    assert (await stranger.get(link)).status == 404


def _without(reply: Reply, task_id: str) -> bytes:
    """Return the body with nothing in it that tells one request from another."""
    return reply.body.replace(task_id.encode(), b"").replace(reply.headers["x-request-id"].encode(), b"")
