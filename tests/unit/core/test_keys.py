"""API keys: a typo is seen without asking anyone, and what is stored tells nothing."""

import random

from hypothesis import given
from hypothesis import strategies as st

from filmgate.core.keys import ENTROPY_BYTES, PREFIX, hash_key, new_key, public_id

ENTROPY = bytes(range(ENTROPY_BYTES))
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"


@given(st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES))
def test_a_key_says_its_own_public_id(entropy: bytes) -> None:
    key_id, key = new_key(entropy)

    assert public_id(key) == key_id
    assert key.startswith(f"{PREFIX}{key_id}_")


def test_two_hundred_typos_are_all_seen() -> None:
    chance = random.Random(200)
    _, key = new_key(ENTROPY)

    typos: set[str] = set()
    while len(typos) < 200:
        at = chance.randrange(len(key))
        typos.add(
            chance.choice(
                [
                    key[:at] + chance.choice(LETTERS) + key[at + 1 :],
                    key[:at] + key[at + 1 :],
                    key[:at] + chance.choice(LETTERS) + key[at:],
                    key[:at] + key[at : at + 2][::-1] + key[at + 2 :],
                ]
            )
        )
        typos.discard(key)

    assert [typo for typo in typos if public_id(typo) is not None] == []


@given(st.text(max_size=80))
def test_what_is_no_key_is_no_key(text: str) -> None:
    assert public_id(text) is None


def test_every_bit_of_entropy_makes_another_key() -> None:
    keys = {new_key((1 << bit).to_bytes(ENTROPY_BYTES, "big"))[1] for bit in range(240)}

    assert len(keys) == 240


def test_the_hash_depends_on_the_key_and_on_the_pepper() -> None:
    _, key = new_key(ENTROPY)

    hashes = {hash_key(key, b"pepper"), hash_key(key, b"salt"), hash_key(key + "x", b"pepper")}

    assert len(hashes) == 3
    assert hash_key(key, b"pepper") == hash_key(key, b"pepper")
