"""What a server serves from: manifests and objects, and which peer may have which."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

from isthmus.identity.name import Role, parse_subject
from isthmus.identity.signature import Signer
from isthmus.protocol.manifest import Chain, Link, State, Version, sign_state, sign_successor


class Served(Protocol):
    """The manifests of one subject as a shelf gives them: a Chain, or something that makes its links when asked."""

    @property
    def state(self) -> State:
        """What the manifests add up to."""
        ...

    def since(self, held: Version | None) -> tuple[Link, ...]:
        """The links that bring a holder of `held` to the newest version; none if it is there or beyond."""
        ...


class Shelf(Protocol):
    """A peer is named by its own subject ("default/region/eu"). All answers are immediate: nothing here waits."""

    def chain(self, subject: str, peer: str) -> Served | None:
        """The manifests of a subject as this peer may have them; None when it may not, or there are none."""
        ...

    def body(self, digest: str) -> bytes | None:
        """The object with this content hash."""
        ...

    def subjects(self, peer: str) -> Collection[str]:
        """Every subject that the peer may have."""
        ...

    def audience(self, subject: str) -> Collection[str]:
        """Every peer that may have the subject."""
        ...


class Publisher:
    """A shelf in memory, for tests of either end: signs what each subject is to hold and keeps the deltas to it.

    A region may have its own manifest and those of the sites of its tenant that name it. A region that a site
    leaves gets the one manifest that says so, to pass on: the site learns of its new regions through the old ones.
    """

    def __init__(self, signer: Signer, body: Callable[[str], bytes | None]) -> None:
        self._signer = signer
        self._body = body
        self._chains: dict[str, Chain] = {}
        self._served: dict[str, set[str]] = {}  # region -> subjects whose newest manifest names it
        self._farewells: dict[str, dict[str, Chain]] = {}  # region -> subject -> the chain up to its leaving

    def publish(
        self,
        subject: str,
        version: Version,
        entries: Mapping[str, str],
        *,
        site_number: int = 0,
        import_clusters: Collection[int] = (),
        regions: Collection[str] = (),
    ) -> bool:
        """Signs and keeps what `subject` is to hold from `version` on.

        `entries` maps object keys to content hashes, `regions` are names in order of preference. Returns False,
        and keeps the older version, when nothing differs. Raises ValueError for a subject without entries or a
        version that does not follow the published one, NameInvalid for a text that is no subject.
        """
        parse_subject(subject)
        state = State(subject, version, dict(entries), site_number, tuple(sorted(import_clusters)), tuple(regions))
        before = self._chains.get(subject)
        if before is None:
            chain = sign_state(state, self._signer)
        elif before.state.same_content(state):
            return False
        else:
            chain = sign_successor(before, state, self._signer)
        self._chains[subject] = chain
        named = _regions_of(state)
        for peer in _regions_of(before.state) - named if before else ():
            self._served[peer].discard(subject)
            self._farewells.setdefault(peer, {})[subject] = chain
        for peer in named:
            self._farewells.get(peer, {}).pop(subject, None)
            self._served.setdefault(peer, set()).add(subject)
        return True

    def withdraw(self, subject: str, version: Version | None = None) -> None:
        """Stops serving a subject that was deleted. Who holds its manifest keeps it.

        With a version, its regions get one last manifest that names no region: they end its BGP session.
        """
        chain = self._chains.pop(subject, None)
        if chain is None:
            return
        named = _regions_of(chain.state)
        for peer, served in self._served.items():
            served.discard(subject)
            self._farewells.get(peer, {}).pop(subject, None)
        if version is not None and version > chain.state.version:
            last = sign_successor(chain, replace(chain.state, version=version, regions=()), self._signer)
            for peer in named:
                self._farewells.setdefault(peer, {})[subject] = last

    def resign(self, signer: Signer, version: Version) -> Collection[str]:
        """Signs every manifest anew with another key, as full ones of `version`; returns the subjects."""
        self._signer = signer
        self._chains = {
            subject: sign_state(replace(chain.state, version=version), signer)
            for subject, chain in self._chains.items()
        }
        self._farewells.clear()
        return list(self._chains)

    def state(self, subject: str) -> State | None:
        """What is published for a subject."""
        chain = self._chains.get(subject)
        return chain.state if chain else None

    def chain(self, subject: str, peer: str) -> Chain | None:
        """See Shelf."""
        if subject == peer or subject in self._served.get(peer, ()):
            return self._chains.get(subject)
        return self._farewells.get(peer, {}).get(subject)

    def body(self, digest: str) -> bytes | None:
        """See Shelf."""
        return self._body(digest)

    def subjects(self, peer: str) -> Collection[str]:
        """See Shelf."""
        return sorted({peer, *self._served.get(peer, ()), *self._farewells.get(peer, ())})

    def audience(self, subject: str) -> Collection[str]:
        """See Shelf."""
        left = {peer for peer, farewells in self._farewells.items() if subject in farewells}
        chain = self._chains.get(subject)
        return left if chain is None else {subject} | _regions_of(chain.state) | left


def _regions_of(state: State) -> set[str]:
    tenant = state.subject.split("/", 1)[0]
    return {f"{tenant}/{Role.REGION}/{name}" for name in state.regions}
