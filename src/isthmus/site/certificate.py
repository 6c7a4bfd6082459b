"""The secrets that Envoy is served besides the site's own: certificates with their keys, and trusted authorities.

A certificate comes from an object and its sealed key, or from two files of this machine, which are read again when they
change. A pair that does not fit together, as between the writes of two files, is not served: the last good one stays.
One that is yet to be issued by an ACME server is not served either, but what the server asks about it is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.emit.envoy.tls import emit_certificate, emit_challenge_certificate, emit_trusted_authority
from isthmus.model.acme import Challenge
from isthmus.model.certificate import Certificate, CertificateSpec
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.pem import check_chain, check_key
from isthmus.model.trusted_authority import TrustedAuthority
from isthmus.site.certificate_file import CertificateFiles, Stamp, read_stamp
from isthmus.site.challenge import make_challenge
from isthmus.site.inventory import Refusal
from isthmus.site.vault import Vault

LOOK = 5.0
"""Seconds between looks at the files of certificates."""

_Stamps = tuple[Stamp, Stamp]


@dataclass(frozen=True, slots=True)
class _Served:
    """What is served of an object, and of which versions of its files."""

    secrets: Mapping[str, bytes]
    stamps: _Stamps | None = None


class CertificateStore:
    """`secrets` is a new mapping whenever it says anything else. `refusals` are of what cannot be served."""

    def __init__(self, vault: Vault, files: CertificateFiles) -> None:
        self._vault = vault
        self._files = files
        self._objects: dict[ObjectKey, Certificate | TrustedAuthority] = {}
        self._served: dict[ObjectKey, _Served] = {}
        self._challenges: dict[ObjectKey, dict[Challenge, Mapping[str, bytes]]] = {}
        self.secrets: Mapping[str, bytes] = {}
        self.refusals: dict[ObjectKey, Refusal] = {}

    def take(self, changed: Mapping[ObjectKey, Object | None], unsealed: frozenset[ObjectKey] = frozenset()) -> bool:
        """Take in changed objects (None: gone) and objects with new private values; whether `secrets` changed."""
        touched = set(unsealed & self._objects.keys())
        for key, obj in changed.items():
            if isinstance(obj, Certificate | TrustedAuthority):
                self._objects[key] = obj
                touched.add(key)
            elif key in self._objects:
                del self._objects[key]
                self._served.pop(key, None)
                self._challenges.pop(key, None)
                self.refusals.pop(key, None)
                touched.add(key)
        for key in touched & self._objects.keys():
            self._serve(key)
        return bool(touched) and self._join()

    def look(self) -> bool:
        """Read files that changed; whether `secrets` changed. Blocks for small reads."""
        touched = [
            key
            for key, obj in self._objects.items()
            if isinstance(obj, Certificate) and obj.spec.chain_file is not None
            if key not in self._served or self._served[key].stamps != _read_stamps(obj.spec)
        ]
        for key in touched:
            self._serve(key)
        return bool(touched) and self._join()

    def _join(self) -> bool:
        joined = {name: body for key in sorted(self._served) for name, body in self._served[key].secrets.items()}
        for key in sorted(self._challenges):
            for secrets in self._challenges[key].values():
                joined.update(secrets)
        if joined == self.secrets:
            return False
        self.secrets = joined
        return True

    def _serve(self, key: ObjectKey) -> None:
        obj = self._objects[key]
        if isinstance(obj, Certificate):
            self._answer(key, obj)
            if obj.pending:
                self._served.pop(key, None)
                self.refusals.pop(key, None)
                return
        try:
            if isinstance(obj, TrustedAuthority):
                self._served[key] = _Served(emit_trusted_authority(key, obj.spec.certificates))
            elif obj.chain is not None:
                self._served[key] = self._sealed(key, obj.chain)
            else:
                self._served[key] = self._read(key, obj.spec)
            self.refusals.pop(key, None)
        except (OSError, ValueError) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            self.refusals[key] = Refusal(str(key), "not-served", "", reason)

    def _answer(self, key: ObjectKey, obj: Certificate) -> None:
        """Those that are asked for still keep what they had: another one would be a changed secret."""
        state = obj.system.acme
        asked = [each for each in state.challenges if each.type == "TLS_ALPN_01"] if state is not None else []
        known = self._challenges.pop(key, {})
        if asked:
            self._challenges[key] = {each: known.get(each) or _challenge_secret(key, each) for each in asked}

    def _sealed(self, key: ObjectKey, chain: str) -> _Served:
        private_key = self._vault.value(key, "privateKey")
        if private_key is None:
            raise ValueError("the site has no copy of the private key yet")
        check_key(private_key, chain)
        return _Served(emit_certificate(key, chain, private_key))

    def _read(self, key: ObjectKey, spec: CertificateSpec) -> _Served:
        stamps = _read_stamps(spec)
        chain, private_key = (self._files.read(path or "") for path in (spec.chain_file, spec.private_key_file))
        try:
            path = spec.chain_file
            check_chain(chain)
            path = spec.private_key_file
            check_key(private_key, chain)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return _Served(emit_certificate(key, chain, private_key), stamps)


def _read_stamps(spec: CertificateSpec) -> _Stamps:
    return read_stamp(spec.chain_file or ""), read_stamp(spec.private_key_file or "")


def _challenge_secret(key: ObjectKey, challenge: Challenge) -> Mapping[str, bytes]:
    return emit_challenge_certificate(key, challenge.domain, *make_challenge(challenge.domain, challenge.answer))
