"""Requests as clients of a known API would make them, with what else comes to a public address.

Popularity of operations and of values is skewed (Zipf). A variable's values come from a pool of 20 to 2,000; for about
half of the variables the pool is another one below every value before them, as repositories are of their owner.
A part of all answers are errors, and a part of all requests are scans for what is not there.
"""

import hashlib
import random
import uuid
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate

from bench.interface.corpus import Operation
from isthmus.interface.histogram import bucket_of
from isthmus.interface.usage import Call

_NOUNS = """
    falcon otter maple harbor cobalt willow ember quartz summit meadow lantern cedar raven comet delta orchid
    saffron pebble glacier juniper mango thunder velvet walnut zephyr acorn basil coral dune fjord hazel indigo
    kelp lotus marble nectar opal poppy quill ripple sierra tulip umber violet wren yarrow backend frontend
    website docs api infra mobile data platform payments search core tools main develop master staging production
    web worker billing reports default system
""".split()  # noqa: SIM905
_FIRST = """
    alice bob carol david erin frank grace heidi ivan judy mallory nina oscar peggy rupert sybil trent victor
    wendy yusuf zoe ahmed bianca chen dmitri elena fatima goran hana igor jonas kenji lucia marco nadia omar priya
    rosa
""".split()  # noqa: SIM905
_LAST = """
    smith jones garcia miller weber rossi novak kim tanaka silva kowalski dubois andersen okafor haddad ivanov
    nguyen patel moreau schmidt costa lindgren papadopoulos horvath murphy yilmaz castillo becker
""".split()  # noqa: SIM905
_SCANS = """
    /.env /.git/config /wp-login.php /wp-admin/setup-config.php /phpmyadmin/index.php /admin/config.php
    /xmlrpc.php /cgi-bin/luci /actuator/env /server-status /vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php
    /owa/auth/logon.aspx /solr/admin/info/system /console/login.jsp /.aws/credentials /backup.sql /config.json
    /HNAP1 /boaform/admin/formLogin /manager/html /jenkins/login /remote/fgt_lang /autodiscover/autodiscover.json
    /ecp/Current/exporttool /telescope/requests
""".split()  # noqa: SIM905
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ERRORS = ((404, 0.03), (401, 0.02), (400, 0.01), (429, 0.005), (500, 0.01))
SCANS = 0.05


def calls(operations: Sequence[Operation], number: int, seed: int) -> Iterator[tuple[Call, Operation | None]]:
    """So many requests, each with the operation that it was for; None for a scan."""
    draw = random.Random(seed)
    order = list(operations)
    draw.shuffle(order)
    steps = list(accumulate(1 / (rank + 1) for rank in range(len(order))))
    values = _Values(seed)
    for index in range(number):
        at = 1_700_000_000.0 + index / 100
        if draw.random() < SCANS:
            path = draw.choice(_SCANS)
            yield _call(draw, "GET", path, 404, at), None
            continue
        operation = order[min(bisect(steps, draw.random() * steps[-1]), len(order) - 1)]
        yield _call(draw, operation.method, values.fill(operation.path, draw), _code(draw, operation), at), operation


def _call(draw: random.Random, method: str, path: str, code: int, at: float) -> Call:
    query = "?page=2&limit=50" if method == "GET" and draw.random() < 0.2 else ""
    credential = "none" if code == 401 else "header"
    latency = bucket_of(draw.lognormvariate(9.5, 0.8))
    sent = bucket_of(draw.lognormvariate(7, 1.2))
    return Call(method, path + query, code, "external", "bench/api", credential, at, latency, bucket_of(200), sent)


def _code(draw: random.Random, operation: Operation) -> int:
    chance = draw.random()
    for code, share in ERRORS:
        chance -= share
        if chance < 0:
            return code
    return {"POST": 201, "DELETE": 204}.get(operation.method, 200)


class _Values:
    """Values of variables: the same every time for the same place and rank."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._steps: dict[int, list[float]] = {}

    def fill(self, path: str, draw: random.Random) -> str:
        """The path with values."""
        parts: list[str] = []
        for segment in path.split("/"):
            while "{" in segment:
                before, _, rest = segment.partition("{")
                form, _, after = rest.partition("}")
                place = "/".join(path.split("/")[: len(parts)])
                seed = int.from_bytes(hashlib.blake2b(f"{self._seed} {place}".encode(), digest_size=8).digest())
                size = int(20 * 100 ** ((seed % 1000) / 1000))
                above = "/".join(parts) if seed >> 20 & 1 else place
                segment = before + self._value(form, f"{above}#{self._rank(size, draw)}") + after
            parts.append(segment)
        return "/".join(parts)

    def _rank(self, size: int, draw: random.Random) -> int:
        steps = self._steps.get(size)
        if steps is None:
            steps = self._steps[size] = list(accumulate(1 / (rank + 1) for rank in range(size)))
        return bisect(steps, draw.random() * steps[-1])

    def _value(self, form: str, which: str) -> str:
        seed = hashlib.blake2b(f"{self._seed} {which}".encode(), digest_size=16).digest()
        draw = random.Random(seed)
        if form == "integer":
            return str(draw.randrange(1, 10 ** draw.randrange(2, 9)))
        if form == "uuid":
            return str(uuid.UUID(bytes=seed, version=4))
        if form == "hash":
            return seed.hex() + seed.hex()[:8]
        if form == "token":
            return "".join(draw.choices(_BASE62, k=draw.randrange(14, 24)))
        if form == "sid":
            return draw.choice(("AC", "CA", "PN", "SM")) + seed.hex()
        if form == "date":
            return f"20{draw.randrange(10, 27)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
        if form == "email":
            return f"{draw.choice(_FIRST)}.{draw.choice(_LAST)}@example.com"
        if form == "version":
            return f"{draw.randrange(4)}.{draw.randrange(20)}.{draw.randrange(10)}"
        return _slug(draw)


def _slug(draw: random.Random) -> str:
    """A name that a person gave: a word, several, a person's, with a number."""
    kind = draw.randrange(10)
    if kind < 2:
        return draw.choice(_NOUNS)
    if kind < 5:
        return f"{draw.choice(_NOUNS)}-{draw.choice(_NOUNS)}"
    if kind == 5:
        return f"{draw.choice(_FIRST)}{draw.choice(_LAST)}"
    if kind == 6:
        return f"{draw.choice(_FIRST)}-{draw.choice(_LAST)}"
    if kind == 7:
        return f"{draw.choice(_NOUNS)}{draw.randrange(100)}"
    if kind == 8:
        return f"{draw.choice(_NOUNS).title()}_{draw.choice(_NOUNS).title()}"
    return f"{draw.choice(_NOUNS)}-{draw.choice(_NOUNS)}-{draw.choice(_LAST)}"
