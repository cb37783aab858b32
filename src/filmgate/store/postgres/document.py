"""A Change as the one JSON document that `commit_change_v1` takes: rows by the names of their columns."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from filmgate.core import ledger
from filmgate.core.change import Change, Claim
from filmgate.core.ledger import Transfer
from filmgate.core.task import Task
from filmgate.store import rows

_encoder: Final = msgspec.json.Encoder()


def document_of(change: Change) -> str:
    """Return all that is to be saved; a part that the change lacks is left out."""
    parts: dict[str, Any] = {
        "accounts": [
            {"id": one.id, "name": one.name, "chain_head": _bytes(one.chain_head)} for one in change.accounts
        ],
        "keys": _named(rows.KEY, map(rows.key_row, change.keys)),
        "signings": _named(rows.SIGNING, map(rows.signing_row, change.signings)),
        "deliveries": _named(rows.DELIVERY, map(rows.delivery_row, change.deliveries)),
        "claims": [_claim(claim, change.task) for claim in change.claims],
        "events": _named(rows.EVENT, map(rows.event_row, change.events)),
        "attempts": _named(rows.ATTEMPT, map(rows.attempt_row, change.attempts)),
        "transfers": [_transfer(transfer) for transfer in change.transfers],
        "lease_no": change.lease_no,
    }
    if (task := change.task) is not None:
        parts |= {
            "task": dict(
                zip(
                    (*rows.FACTS, *rows.COLUMNS),
                    (*rows.task_facts(task), *rows.task_columns(task)),
                    strict=True,
                )
            ),
            "was_version": change.was_version or None,
            "outputs": [{"id": one.blob, "output": rows.dump_output(one)} for one in task.outputs],
            "uses": sorted(task.blobs),
        }
    return _encoder.encode({name: part for name, part in parts.items() if part}).decode()


def _named(columns: Sequence[str], found: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [
        {
            name: _bytes(value) if isinstance(value, bytes) else value
            for name, value in zip(columns, row, strict=True)
        }
        for row in found
    ]


def _claim(claim: Claim, task: Task | None) -> dict[str, Any]:
    assert task is not None, "a claim is a new task's"
    return {
        "key_id": claim.key_id,
        "namespace": claim.namespace,
        "token": claim.token,
        "task_id": task.id,
        "fingerprint": claim.fingerprint,
        "expires_at": rows.maybe_micros(claim.expires_at),
    }


def _transfer(transfer: Transfer) -> dict[str, Any]:
    return {
        "id": transfer.id,
        "kind": transfer.kind,
        "account_id": transfer.account_id,
        "debit": transfer.debit,
        "credit": transfer.credit,
        "amount": transfer.amount,
        "releases": transfer.releases,
        "task_id": transfer.task_id,
        "memo": transfer.memo,
        "at": rows.micros(transfer.at),
        "canonical": _bytes(ledger.canonical(transfer)),
    }


def _bytes(value: bytes) -> str:
    return "\\x" + value.hex()
