"""How ACME servers are connected to: over the addresses that were looked at, and may be reached."""

import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from isthmus.console.target import Networks, TargetUnknown, resolve_addresses


class CheckedAdapter(HTTPAdapter):
    """Of `requests`, for https. Raises TargetRefused for a host that may not be reached."""

    def __init__(self, allowed: Networks) -> None:
        self._allowed = allowed
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have its pools make connections that check."""
        super().init_poolmanager(*args, **kwargs)
        allowed = self._allowed

        class Connection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return _connect(self, allowed)

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        self.poolmanager.pool_classes_by_scheme = {"https": Pool}


def _connect(connection: HTTPSConnection, allowed: Networks) -> socket.socket:
    port = connection.port or 443
    timeout = connection.timeout if isinstance(connection.timeout, int | float) else None
    try:
        addresses = resolve_addresses(connection.host, port, allowed)
    except TargetUnknown as error:
        raise NewConnectionError(connection, str(error)) from error
    reason: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            reason = error
    raise NewConnectionError(connection, f"no connection: {reason}")
