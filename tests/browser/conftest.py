"""One deployment and one real headless Chromium for the tests of a module: the demo's shop, and its console's pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from isthmus.demo.deployment import Deployment
from isthmus.demo.process import find_processes
from isthmus.demo.shop import Shop

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",  # tests run as root, where Chromium's sandbox does not start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


PATIENCE_SECONDS = 60
"""For so long a page may take, or a renewed page to show what a site told of: on a busy machine both are slow."""
expect.set_options(timeout=1000 * PATIENCE_SECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a module share one event loop, that of the deployment and the browser."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[Shop]:
    """The demo's deployment, started once."""
    async with Deployment() as deployment:
        started = Shop(deployment)
        await started.start(lambda text: None)
        yield started
        directory = deployment.directory
    assert list(find_processes(directory)) == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, started once."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        await started.close()


class Visitor:
    """A browser window. `complaints` holds what its console said and what its pages threw."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {text}")

    async def open(self, path: str, status: int = 200) -> None:
        """Go to a page of the console."""
        response = await self.page.goto(self.url + path)
        assert response is not None
        assert response.status == status, f"{path}: {response.status}\n{await self.page.inner_text('main')}"


Visit = Callable[..., Awaitable[Visitor]]


@pytest_asyncio.fixture(loop_scope="module")
async def visit(shop: Shop, browser: Browser) -> AsyncIterator[Visit]:
    """Opens windows: `await visit(width=390, dark=True, signed_in=False)`."""
    opened: list[Visitor] = []

    async def open_window(width: int = 1360, *, dark: bool = False, signed_in: bool = True) -> Visitor:
        context = await browser.new_context(
            ignore_https_errors=True,  # the deployment's own authority is not the browser's
            viewport={"width": width, "height": 850},
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(1000 * PATIENCE_SECONDS)
        visitor = Visitor(context, await context.new_page(), shop.deployment.url)
        opened.append(visitor)
        if signed_in:
            await visitor.page.goto(await shop.deployment.sign_in_link())
            await visitor.page.get_by_role("button", name="Sign in", exact=True).click()
            await visitor.page.wait_for_url(f"{shop.deployment.url}/")
        return visitor

    yield open_window
    for visitor in opened:
        await visitor.context.close()
