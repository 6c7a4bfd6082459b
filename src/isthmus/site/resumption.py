"""What a new agent may say of an Envoy that runs on, before that has taken anything from it.

The first word to a new BGP speaker opens its sessions, and with them ends what regions remember of the one before. So
it has to be of all that this site's probes find; before that, silence is better.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from isthmus.compile.intent import Intent
from isthmus.site.egress import Egress
from isthmus.site.udp_probe import UdpProber


async def resume(
    intent: Intent, learn_health: Callable[[], Awaitable[bool]], egress: Egress, prober: UdpProber
) -> Intent | None:
    """Of an intent that Envoy has not been given, what may be confirmed. None: Envoy does not say what it has.

    1. Ask Envoy for its verdicts.
    2. Leave out what it does not have.
    3. With a speaker that announces nothing, wait for the agent's own verdicts, by UDP, of which it has none yet. What
       an adopted one announces stays until the first of them.
    """
    if not await learn_health():
        return None
    known = egress.in_force(intent)
    if not egress.routes():
        await prober.settle(known)
    return known
