"""Every test of this folder runs on both databases."""

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.console.settings import database_url
from isthmus.console.store import Store

_numbers = itertools.count(1)


def _load() -> Any:
    name = "isthmus_test_postgres"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("postgres.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    server = _load().PostgresServer()
    yield server
    server.close()


@pytest.fixture(params=("sqlite", "postgresql"))
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the URL of a new, empty database, as settings take it."""

    def create() -> str:
        number = next(_numbers)
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path}/{number}.db"
        url: str = request.getfixturevalue("postgres").create_database(f"test{number}")
        return url

    return create


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    opened: list[Store] = []

    def open_one(url: str) -> Store:
        store = Store.open(database_url(tmp_path, url))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def store(open_store: Callable[[str], Store], url: str) -> Store:
    return open_store(url)
