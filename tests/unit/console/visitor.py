"""A browser without its window, for the tests of the console's pages."""

import asyncio
import re
import ssl
from typing import Any
from urllib.parse import urlencode

import httpx

PASSWORD = "correct horse battery"


class Browser:
    """An HTTP client that keeps cookies and sends forms as pages do."""

    def __init__(self, console: Any) -> None:
        self.http = console.client(None)
        self.origin = f"https://127.0.0.1:{console.console.port}"

    async def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        sent = {"Origin": self.origin, "Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self.http.post(path, content=urlencode(form), headers=sent)

    async def csrf(self) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', (await self.http.get("/")).text)
        assert found is not None
        return found[1]

    async def act(self, path: str, **form: str) -> httpx.Response:
        """Send a form with the session's token."""
        return await self.post(path, {"csrf": await self.csrf(), **form})


async def admin(browser: Browser, shop: Any) -> Browser:
    token = (shop.state / "admin.token").read_text().strip()
    assert (await browser.post("/sign-in", {"token": token})).status_code == 303
    return browser


async def exchange(console: Any, request: bytes) -> bytes:
    """What the API answers to raw bytes, until it closes the connection."""
    context = ssl.create_default_context(cafile=str(console.state / "ca.pem"))
    reader, writer = await asyncio.open_connection("127.0.0.1", console.console.port, ssl=context)
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()
