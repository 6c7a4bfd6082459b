"""Records of the access log as requests to learn from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl

from isthmus.interface.record import LONGEST, parse_calls


def records(*paths: str) -> pl.DataFrame:
    """One request for each path."""
    some: dict[str, Any] = {
        "log": "ingress", "virtual_host": "shop/site", "method": "GET", "code": 200, "client": "external",
        "cluster": "shop/web", "credential": False, "total": 1_000, "received": 0, "sent": 10, "weight": 1.0,
        "time": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return pl.DataFrame([{**some, "path": path} for path in paths])


def test_long_paths_are_not_kept_and_long_queries_are_cut_off() -> None:
    widest = "/" + "a" * (LONGEST - 1)
    found = parse_calls(
        records("/orders?page=2", f"/carts?next={'x' * LONGEST}", widest, widest + "a", f"{widest}a?b=c")
    )
    assert [call.path for call in found["shop/site"]] == ["/orders?page=2", "/carts", widest]
