"""Sealing: one reader, one place, the same bytes each time."""

from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from isthmus.identity import SealBroken, SealingKey, seal

SEED, PLACE = b"s" * 32, "default/site/fra default/Secret/shop/token value"
FRA, NYC = SealingKey.create(), SealingKey.create()


def test_only_the_recipient_opens_it_and_only_for_its_place() -> None:
    sealed = seal("p\u00e4ss", PLACE, FRA.public, SEED)
    assert FRA.unseal(sealed, PLACE) == "p\u00e4ss"
    for key, place in ((NYC, PLACE), (FRA, PLACE + "2")):
        with pytest.raises(SealBroken):
            key.unseal(sealed, place)


@pytest.mark.parametrize("position", [0, 31, 32, -1])
def test_a_changed_copy_is_refused(position: int) -> None:
    raw = bytearray(b64decode(seal("text", PLACE, FRA.public, SEED)))
    raw[position] ^= 1
    with pytest.raises(SealBroken):
        FRA.unseal(b64encode(raw).decode(), PLACE)


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", b64encode(bytes(64)).decode()])
def test_what_is_no_sealed_copy_is_refused(text: str) -> None:
    with pytest.raises(SealBroken):
        FRA.unseal(text, PLACE)


def test_the_same_text_for_the_same_site_and_place_is_the_same_bytes_and_nothing_else_is() -> None:
    sealed = seal("text", PLACE, FRA.public, SEED)
    assert seal("text", PLACE, FRA.public, SEED) == sealed
    others = {
        seal("texT", PLACE, FRA.public, SEED),
        seal("text", PLACE + "2", FRA.public, SEED),
        seal("text", PLACE, NYC.public, SEED),
        seal("text", PLACE, FRA.public, b"t" * 32),
    }
    one_time_keys = {b64decode(each)[:32] for each in (*others, sealed)}
    assert len(one_time_keys) == 5, "no one-time key is used for two texts, places or recipients"


@pytest.mark.parametrize("public", [b"", bytes(32), b"x" * 31])
def test_a_key_that_cannot_be_sealed_to_is_refused(public: bytes) -> None:
    with pytest.raises(SealBroken):
        seal("text", PLACE, public, SEED)


def test_a_key_is_read_back_and_its_file_is_its_owners(tmp_path: Path) -> None:
    FRA.save(tmp_path / "sealing.key")
    again = SealingKey.load(tmp_path / "sealing.key")
    assert again is not None
    assert again.public == FRA.public
    assert (tmp_path / "sealing.key").stat().st_mode & 0o777 == 0o600
    assert SealingKey.load(tmp_path / "none") is None
    (tmp_path / "sealing.key").write_bytes(b"short")
    with pytest.raises(SealBroken):
        SealingKey.load(tmp_path / "sealing.key")
