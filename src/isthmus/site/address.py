"""Addresses that the agent puts on this machine's interfaces, for policies with an address of their own.

Only what the agent itself has added is ever removed. It is written down before it is added, so that one that crashes or
is started anew knows what is its own. An address outlives the policies that need it until their listeners have drained.
"""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import structlog

from isthmus.compile.intent import InterfaceAddress
from isthmus.engine import netlink
from isthmus.identity.file import write_file
from isthmus.site.inventory import Refusal

LINGER = 35.0
"""Seconds that an address stays after nothing needs it: a little longer than Envoy drains a listener."""

Pair = tuple[str, str]
"""Interface and address."""

log = structlog.get_logger()


class Kernel(Protocol):
    """What is asked of the kernel; see `isthmus.engine.netlink`."""

    def read_addresses(self) -> frozenset[Pair]: ...

    def add_address(self, interface: str, address: str) -> None: ...

    def remove_address(self, interface: str, address: str) -> None: ...


class Addresses:
    """`record` is the file that says which addresses are the agent's."""

    def __init__(self, record: Path, kernel: Kernel = netlink) -> None:
        self._record = record
        self._kernel = kernel
        self._own = _read(record)
        self._wanted: frozenset[Pair] = frozenset()
        self._timer: asyncio.TimerHandle | None = None
        self.faults: tuple[Refusal, ...] = ()

    def restore(self) -> None:
        """Put back what is the agent's own and gone, as after a start of the machine: before Envoy is given what it had
        and could not listen."""
        present = self._present() if self._own else frozenset[Pair]()
        for interface, address in sorted(self._own - present):
            try:
                self._kernel.add_address(interface, address)
                log.info("site.address_restored", interface=interface, address=address)
            except OSError as error:
                log.warning("site.address_missing", interface=interface, address=address, error=str(error))

    def add(self, wanted: Iterable[InterfaceAddress]) -> None:
        """Add what is missing. What cannot be added is in `faults`, under the policy that needs it."""
        wanted = tuple(wanted)
        faults = []
        self._wanted = frozenset((each.interface, each.address) for each in wanted)
        present = self._present() if wanted else frozenset[Pair]()
        for each in wanted:
            pair = (each.interface, each.address)
            if each.address in {address for _, address in present}:
                continue
            try:
                self._add(pair)
            except OSError as error:
                log.warning("site.address_missing", interface=each.interface, address=each.address, error=str(error))
                faults.append(_fault(each, error))
        self.faults = tuple(faults)

    def settle(self, delay: float = LINGER) -> None:
        """Remove what nothing needs, a while from now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._own - self._wanted:
            self._timer = asyncio.get_running_loop().call_later(delay, self._remove)

    def end(self, *, remove: bool) -> None:
        """Stop; with `remove`, nothing serves on the addresses any more."""
        if self._timer is not None:
            self._timer.cancel()
        if remove:
            self._wanted = frozenset()
            self._remove()

    def _present(self) -> frozenset[Pair]:
        try:
            return self._kernel.read_addresses()
        except OSError as error:
            log.warning("site.addresses_unknown", error=str(error))
            return frozenset()

    def _add(self, pair: Pair) -> None:
        before = self._own
        self._save(self._own | {pair})
        try:
            self._kernel.add_address(*pair)
        except FileExistsError:  # somebody else's, since a moment ago
            self._save(before)
        except OSError:
            self._save(before)
            raise
        else:
            log.info("site.address_added", interface=pair[0], address=pair[1])

    def _remove(self) -> None:
        for pair in sorted(self._own - self._wanted):
            try:
                self._kernel.remove_address(*pair)
                log.info("site.address_removed", interface=pair[0], address=pair[1])
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):  # that is, unless it is gone already
                    log.warning("site.address_stays", interface=pair[0], address=pair[1], error=str(error))
                    continue
            self._save(self._own - {pair})

    def _save(self, own: frozenset[Pair]) -> None:
        write_file(self._record, json.dumps(sorted(own)).encode())
        self._own = own


def _read(record: Path) -> frozenset[Pair]:
    try:
        return frozenset((str(interface), str(address)) for interface, address in json.loads(record.read_bytes()))
    except FileNotFoundError:
        return frozenset()
    except (ValueError, TypeError) as error:
        log.error("site.addresses_damaged", error=str(error))
        return frozenset()


def _fault(wanted: InterfaceAddress, error: OSError) -> Refusal:
    why = error.strerror or str(error)
    if error.errno == errno.EPERM:
        why = "the agent lacks the capability CAP_NET_ADMIN; give it that, or add the address yourself"
    elif error.errno == errno.ENODEV:
        why = "there is no such interface; correct spec.interfaces of the site"
    message = f"{wanted.address} could not be added to {wanted.interface}: {why}"
    return Refusal(str(wanted.policy), "address-not-added", "spec.address", message)
