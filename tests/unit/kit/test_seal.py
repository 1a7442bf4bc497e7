"""kit/seal.py: sealed bytes open for their purpose only, under any key that is still configured."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aims.kit.seal import SealBroken, seal, unseal

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def test_what_was_sealed_opens_again_and_never_looks_the_same(
    settings: Any,
) -> None:
    settings.KEKS = [OLD]
    assert unseal(seal(b"secret", purpose="a"), purpose="a") == b"secret"
    assert seal(b"secret", purpose="a") != seal(b"secret", purpose="a")


def test_a_seal_does_not_open_for_another_purpose(settings: Any) -> None:
    settings.KEKS = [OLD]
    with pytest.raises(SealBroken):
        unseal(seal(b"secret", purpose="a"), purpose="b")


def test_an_older_key_still_opens_and_the_first_one_seals(
    settings: Any,
) -> None:
    settings.KEKS = [OLD]
    sealed = seal(b"secret", purpose="a")
    settings.KEKS = [NEW, OLD]
    assert unseal(sealed, purpose="a") == b"secret"
    fresh = seal(b"secret", purpose="a")
    settings.KEKS = [OLD]
    with pytest.raises(SealBroken):
        unseal(fresh, purpose="a")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:-1],
        lambda raw: b"",
        lambda raw: b"\x02" + raw[1:],
        lambda raw: raw[:20] + bytes([raw[20] ^ 1]) + raw[21:],
    ],
)
def test_changed_bytes_do_not_open(settings: Any, change: object) -> None:
    settings.KEKS = [OLD]
    with pytest.raises(SealBroken):
        unseal(change(seal(b"secret", purpose="a")), purpose="a")  # type: ignore[operator]


@pytest.mark.parametrize("keks", [[], ["AAAA"], ["not base64!"]])
def test_without_a_good_key_nothing_is_sealed(settings: Any, keks: list[str]) -> None:
    settings.KEKS = keks
    with pytest.raises(SealBroken):
        seal(b"secret", purpose="a")
