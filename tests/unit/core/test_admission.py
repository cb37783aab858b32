"""Who is next: priority, then fairness, then age; and never past a cap."""

from collections.abc import Callable
from dataclasses import replace

from filmgate.core.admission import Head, Limits, choose

LIMITS = Limits(account_concurrency=3)
AT = 1_000_000


def a_head(
    task: str, account: str = "", *, priority: int = 0, slots: int = 0, admitted: int = 0, free_at: int = 0
) -> Head:
    return Head(
        task_id=task,
        account_id=account or task,
        priority=priority,
        account_slots=slots,
        account_admitted=admitted,
        account_free_at=free_at,
    )


def nobody_follows(_: Head) -> None:
    return None


def chosen(
    *heads: Head,
    free: int = 99,
    limits: Limits = LIMITS,
    following: Callable[[Head], Head | None] = nobody_follows,
) -> list[str]:
    return [head.task_id for head in choose(heads, free=free, at=AT, limits=limits, following=following)]


def test_the_order_is_priority_then_fewest_slots_then_longest_ago_then_older() -> None:
    heads = [
        a_head("f", priority=0, slots=1, admitted=1),
        a_head("e", priority=0, slots=0, admitted=2),
        a_head("c", priority=0, slots=0, admitted=1),
        a_head("d", priority=0, slots=0, admitted=1),
        a_head("b", priority=1, slots=2, admitted=9),
        a_head("a", priority=2, slots=2, admitted=9),
    ]

    assert chosen(*heads) == ["a", "b", "c", "d", "e", "f"]


def test_nobody_goes_past_the_free_slots() -> None:
    heads = [a_head(name) for name in "abc"]

    assert chosen(*heads, free=0) == []
    assert chosen(*heads, free=2) == ["a", "b"]


def test_an_account_at_its_cap_is_passed_over_whatever_its_priority() -> None:
    assert chosen(a_head("a", priority=9, slots=3), a_head("b", slots=2)) == ["b"]


def test_an_account_over_its_rate_is_passed_over_whatever_its_priority() -> None:
    paced = replace(LIMITS, account_rate=60)

    heads = [a_head("a", priority=9, free_at=AT + 6_000_000), a_head("b", free_at=AT + 5_000_000)]

    assert chosen(*heads, limits=paced) == ["b"]
    assert chosen(*heads) == ["a", "b"], "without a rate nothing is paced"


def test_an_account_goes_on_until_its_rate_is_used_up() -> None:
    paced = replace(LIMITS, account_rate=20)
    tasks = iter(["a2", "a3", "a4"])

    def following(head: Head) -> Head:
        return replace(head, task_id=next(tasks), account_free_at=max(AT, head.account_free_at) + 3_000_000)

    assert chosen(a_head("a1", "ada"), limits=paced, following=following) == ["a1", "a2"]


def test_a_provider_has_no_more_to_give_than_its_rate_and_its_slots() -> None:
    paced = Limits(provider_rates={"studio": 20})

    def may_start(free: int, free_at: int, provider: str = "studio") -> int:
        return paced.provider_may_start(provider, free=free, free_at=free_at, at=AT)

    assert (may_start(9, 0), may_start(1, 0), may_start(-1, 0)) == (2, 1, 0)
    assert (may_start(9, AT + 3_000_000), may_start(9, AT + 3_000_001)) == (1, 0)
    assert may_start(9, AT + 3_000_001, "sandbox") == 9


def test_accounts_take_turns_as_their_slots_fill() -> None:
    waiting = {"ada": ["a1", "a2", "a3", "a4"], "ben": ["b1", "b2"]}
    standing = {name: a_head(tasks[0], name) for name, tasks in waiting.items()}
    stamps = iter(range(1, 100))

    def following(head: Head) -> Head | None:
        tasks = waiting[head.account_id]
        tasks.pop(0)
        if not tasks:
            return None
        return replace(
            head, task_id=tasks[0], account_slots=head.account_slots + 1, account_admitted=next(stamps)
        )

    assert chosen(*standing.values(), following=following) == ["a1", "b1", "a2", "b2", "a3"]
