"""Webhook secrets: derived, one for each account and turn, and both for a day after a rotation."""

import base64
import random
from datetime import timedelta

from standardwebhooks import Webhook

from filmgate.core.signing import OVERLAP, PREFIX, Signing
from tests.fakes import NOON

ROOT = bytes(range(32))
ADA = Signing(account_id="acct_ada")


def test_a_secret_has_the_form_and_length_that_the_standard_asks_for() -> None:
    (secret,) = ADA.secrets(ROOT, at=NOON)

    assert secret.startswith(PREFIX)
    assert 24 <= len(base64.b64decode(secret.removeprefix(PREFIX))) <= 64
    assert Webhook(secret).sign("msg", NOON, "{}").startswith("v1,")


def test_a_secret_never_changes_by_itself() -> None:
    assert ADA.secrets(ROOT, at=NOON) == ("whsec_LJT7XnTsPJB7tdXlkgNVenb4iy+QP0obpwJlCDdZVUU=",)
    assert ADA.secrets(ROOT, at=NOON) == ADA.secrets(ROOT, at=NOON + timedelta(days=1_000))


def test_no_two_accounts_turns_or_installations_share_a_secret() -> None:
    secrets = {
        Signing(account_id=f"acct_{n}", turn=turn).secrets(root, at=NOON)
        for n in range(20)
        for turn in range(1, 20)
        for root in (ROOT, ROOT[::-1])
    }

    assert len(secrets) == 20 * 19 * 2


def test_for_a_day_after_a_rotation_both_secrets_sign_the_new_one_first() -> None:
    (old,) = ADA.secrets(ROOT, at=NOON)

    rotated = ADA.rotated(at=NOON)
    new, beside = rotated.secrets(ROOT, at=NOON + OVERLAP - timedelta(microseconds=1))
    after = rotated.secrets(ROOT, at=NOON + OVERLAP)

    assert beside == old
    assert new != old
    assert after == (new,)


def test_after_two_rotations_in_a_day_the_first_secret_signs_no_more() -> None:
    (first,) = ADA.secrets(ROOT, at=NOON)

    twice = ADA.rotated(at=NOON).rotated(at=NOON + timedelta(hours=1))

    assert first not in twice.secrets(ROOT, at=NOON + timedelta(hours=2))
    assert len(twice.secrets(ROOT, at=NOON + timedelta(hours=2))) == 2


def test_secrets_say_nothing_of_one_another() -> None:
    dice = random.Random(1)
    root = dice.randbytes(32)
    (one,) = Signing(account_id="acct_1").secrets(root, at=NOON)
    (other,) = Signing(account_id="acct_1", turn=2).secrets(root, at=NOON)
    bits = [
        (a ^ b).bit_count()
        for a, b in zip(
            base64.b64decode(one.removeprefix(PREFIX)),
            base64.b64decode(other.removeprefix(PREFIX)),
            strict=True,
        )
    ]

    assert 64 < sum(bits) < 192, "about half of the bits differ"
