"""Garbage collection around large plans."""

import gc

import pytest

from isthmus.site.collection import collection_paused


def test_it_is_off_meanwhile_and_on_again_after_an_error() -> None:
    def fail() -> None:
        with collection_paused():
            raise RuntimeError(f"enabled: {gc.isenabled()}")

    assert gc.isenabled()
    with pytest.raises(RuntimeError, match="enabled: False"):
        fail()
    assert gc.isenabled()
    gc.unfreeze()


def test_what_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
