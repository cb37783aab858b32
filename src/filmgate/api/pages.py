"""Lists of tasks, page by page: a cursor is the id of a task."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from filmgate.api.call import Call
from filmgate.api.dialect import Json, Shown
from filmgate.api.schema import Body, Whole, check
from filmgate.core.errors import InvalidRequest
from filmgate.core.ids import is_task_id
from filmgate.ports import Ports
from filmgate.ports.store import TaskQuery


class PageQuery(Body):
    """Which part of the list."""

    limit: Annotated[Whole, Field(ge=1, le=100)] = Field(20, description="1 to 100.")
    order: Literal["asc", "desc"] = Field("desc", description="`desc` begins with the newest.")
    after: str | None = Field(None, description="The id of a task: the page begins behind it.")
    before: str | None = Field(None, description="The id of a task: the page ends before it.")


async def list_tasks(ports: Ports, call: Call, shown: Shown, **only: Any) -> Json:  # noqa: ANN401
    """Return a page of the caller's tasks as `shown`; `only` are the fields of a TaskQuery.

    After a cursor comes the page that begins behind it, before one the page that ends there; with
    both, what lies between them.
    """
    page = check(PageQuery, call.only(*PageQuery.model_fields))
    for name, cursor in (("after", page.after), ("before", page.before)):
        if cursor is not None and not is_task_id(cursor):
            raise InvalidRequest(f"{name}: is not the id of a task", param=name)
    query = TaskQuery(
        key_id=call.key.identity,
        after=page.after,
        before=page.before,
        ascending=page.order == "asc",
        limit=page.limit + 1,  # one more than asked for says whether there is more
        **only,
    )
    backwards = page.before is not None and page.after is None
    if backwards:
        # The page that ends at a cursor is read backwards from it, and then turned round.
        query = replace(query, after=page.before, before=None, ascending=not query.ascending)
    found = await ports.store.tasks(query)
    tasks = list(found[: page.limit])
    if backwards:
        tasks.reverse()
    return {
        "object": "list",
        "data": [shown(task) for task in tasks],
        "first_id": tasks[0].id if tasks else None,
        "last_id": tasks[-1].id if tasks else None,
        "has_more": len(found) > page.limit,
    }
