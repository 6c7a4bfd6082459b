"""Calls to ACME servers in threads of their own: whoever takes long to answer holds up nothing else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from isthmus.console.acme.server import AcmeFailed, AcmeServer

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Caller:
    """`seconds` for each call, whatever it divides them into: a server that says an octet a second ends none."""

    def __init__(self, threads: int, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(threads, "acme")
        self._seconds = seconds

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Have a thread do it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))

    async def ask(self, server: AcmeServer, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The same, of a method of a server. Raises AcmeFailed, also when it takes too long."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self.run(function, *args, **kwargs)
        except TimeoutError:
            server.cut()
            raise AcmeFailed(f"the server has not ended its answer within {self._seconds:.0f} seconds") from None
        except asyncio.CancelledError:
            server.cut()
            raise

    def close(self) -> None:
        """Take up nothing any more. What is under way ends by itself."""
        self._threads.shutdown(wait=False)
