"""All applications together: each its own, all of them in bounded memory."""

import pytest

from isthmus.interface import catalog as module
from isthmus.interface.catalog import Catalog

from .request import call, shapes


def test_tenants_and_virtual_hosts_are_apart() -> None:
    catalog = Catalog()
    catalog.learn("a", {"shop/site": [call("/orders")], "shop/other": [call("/carts")]})
    catalog.learn("b", {"shop/site": [call("/users")]})
    assert {host: shapes(tree) for host, tree in catalog.trees.items()} == {
        ("a", "shop/site"): {"GET /orders"}, ("a", "shop/other"): {"GET /carts"}, ("b", "shop/site"): {"GET /users"},
    }  # fmt: skip
    assert catalog.changed == set(catalog.trees)


def test_two_catalogs_add_up() -> None:
    one, two = Catalog(), Catalog()
    one.learn("a", {"shop/site": [call("/orders")]})
    two.learn("a", {"shop/site": [call("/orders"), call("/carts")], "shop/new": [call("/users")]})
    one.merge(two)
    assert shapes(one.trees["a", "shop/site"]) == {"GET /orders", "GET /carts"}
    assert shapes(one.trees["a", "shop/new"]) == {"GET /users"}


def test_the_largest_gives_way_when_all_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IN_ALL", 300)
    catalog = Catalog()
    small = [call(f"/orders/{number}/items", at=1.0) for number in range(20)]
    large = [call(f"/a{number % 10}/b{number % 20}/c{number}/users", at=float(number)) for number in range(2_000)]
    catalog.learn("a", {"shop/small": small, "shop/large": large})
    assert sum(tree.nodes for tree in catalog.trees.values()) <= 300
    assert shapes(catalog.trees["a", "shop/small"]) == {"GET /orders/{}/items"}


def test_there_is_a_most_of_virtual_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HOSTS", 2)
    catalog = Catalog()
    catalog.learn("a", {f"shop/{number}": [call("/orders"), call("/carts")] for number in range(3)})
    assert len(catalog.trees) == 2
    assert catalog.refused == 2
    catalog.expire(before=2_000.0)
    assert catalog.trees == {}
    catalog.learn("a", {"shop/2": [call("/orders")]})
    assert list(catalog.trees) == [("a", "shop/2")]
