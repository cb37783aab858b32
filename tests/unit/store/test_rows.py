"""Between values and rows: what is remembered of them."""

from dataclasses import replace

from filmgate.store.rows import KnownTasks, dump_task
from tests.stores import an_order


def test_a_task_is_known_as_it_was_last_read() -> None:
    known, task = KnownTasks(), an_order()
    assert known.of(task.id) is None

    known.keep(dump_task(task))
    changed = known.keep(dump_task(replace(task, version=2)))

    assert changed == replace(task, version=2)
    assert known.of(task.id) == changed


def test_no_more_tasks_are_known_than_there_is_room_for() -> None:
    known = KnownTasks(most=2)
    tasks = [known.keep(dump_task(an_order(n=n))) for n in range(3)]

    assert [known.of(task.id) for task in tasks] == [None, None, tasks[2]]
