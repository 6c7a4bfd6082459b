"""The private values of the deployment: taken out of documents, kept encrypted, sealed to the sites that need them.

A value is plain text only while it is applied, checked or sealed. What objects hold is its fingerprint.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from isthmus.console.cipher import Cipher, Encrypted, Place
from isthmus.console.error import ConsoleError
from isthmus.console.record import StoredObject
from isthmus.console.store import Store
from isthmus.identity import SealBroken, seal, sealing_place
from isthmus.model.certificate import Certificate
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.envelope import emit_envelope
from isthmus.model.key import ObjectKey
from isthmus.model.kind import KINDS
from isthmus.model.object import Metadata, Object
from isthmus.model.pem import certificate_expiry, check_key
from isthmus.model.private import Private
from isthmus.model.sealed import SealedSpec, sealed_key
from isthmus.model.secret import Secret
from isthmus.slice import site_subject

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Concealed:
    """Requested objects without their private values.

    Attributes:
        objects: with fingerprints in their place.
        fresh: the values that are not kept yet.
        diagnostics: what is wrong with them.
        secrets: the values of Secrets, as text.
    """

    objects: tuple[Object, ...]
    fresh: Mapping[Place, Encrypted]
    diagnostics: tuple[Diagnostic, ...]
    secrets: Mapping[ObjectKey, str] = field(repr=False)


class Vault:
    """Encrypted values by place, and public sealing keys by subject. See isthmus.slice.Sealer."""

    def __init__(self, cipher: Cipher, values: Mapping[Place, Encrypted], sealing_keys: Mapping[str, bytes]) -> None:
        self._cipher = cipher
        self._values = dict(values)
        self._sealing_keys = dict(sealing_keys)

    @classmethod
    def load(cls, store: Store, cipher: Cipher) -> "Vault":
        """Read what the store keeps; values under an older key are encrypted anew. Blocks.

        Raises:
            ConsoleError: a value cannot be decrypted.
        """
        values = store.private_values()
        vault = cls(cipher, values, store.sealing_keys())
        old = {place for place, value in values.items() if value.key_id != cipher.key_id}
        if old:
            renewed = {place: cipher.encrypt(place, cipher.decrypt(place, values[place])) for place in old}
            store.put_private_values(renewed)
            vault._values |= renewed
            _log.info("secrets.encrypted_anew", values=len(renewed), key=cipher.key_id)
        elif values:
            cipher.decrypt(*next(iter(values.items())))  # a key file of another deployment is found out now
        return vault

    # Taking out

    def conceal(
        self, requested: Sequence[Object], records: Mapping[ObjectKey, StoredObject], now: datetime
    ) -> Concealed:
        """Take the private values out of requested objects, and check what only they can show."""
        objects: list[Object] = []
        fresh: dict[Place, Encrypted] = {}
        found: list[Diagnostic] = []
        secrets: dict[ObjectKey, str] = {}
        for obj in requested:
            if not obj.private and not isinstance(obj, Certificate):
                objects.append(obj)
                continue
            texts: dict[str, str] = {}
            prints: dict[str, Private] = {}
            new = False
            for name, value in obj.private.items():
                text = value.text if value.text is not None else self._kept(obj.key, name, value)
                if text is None:
                    found.append(_unknown(obj.key, name))
                    continue
                place = self._cipher.place(str(obj.key), name, text)
                texts[name], prints[name] = text, Private(fingerprint=place.fingerprint)
                if place not in self._values:
                    fresh[place] = self._cipher.encrypt(place, text)
                    new = True
            concealed = obj.with_private(prints) if prints else obj
            known = records.get(obj.key)
            if known is None or known.object.spec != concealed.spec or new:
                found.extend(_check(concealed, texts, now))
            objects.append(concealed)
            if isinstance(obj, Secret) and "value" in texts:
                secrets[obj.key] = texts["value"]
        return Concealed(tuple(objects), fresh, tuple(found), secrets)

    def _kept(self, key: ObjectKey, name: str, value: Private) -> str | None:
        place = Place(str(key), name, value.fingerprint)
        encrypted = self._values.get(place)
        return self._cipher.decrypt(place, encrypted) if encrypted is not None else None

    # Values of the console's own, which no object has

    def text_at(self, key: str, field: str) -> str | None:
        """The value that is kept at a place, whatever its fingerprint; None when there is none.

        Raises:
            ConsoleError: it cannot be decrypted.
        """
        found = ((place, value) for place, value in self._values.items() if (place.key, place.field) == (key, field))
        return next((self._cipher.decrypt(place, value) for place, value in found), None)

    def encrypt(self, key: str, field: str, text: str) -> Mapping[Place, Encrypted]:
        """A value for a place, to be stored and then given to `add`."""
        place = self._cipher.place(key, field, text)
        return {place: self._cipher.encrypt(place, text)}

    # Keeping

    def add(self, values: Mapping[Place, Encrypted]) -> None:
        """Keep values, as the store does or is about to do."""
        self._values |= values

    def places(self, key: ObjectKey) -> set[Place]:
        """Where values are kept for an object, whatever it is."""
        return {place for place in self._values if place.key == str(key)}

    def remove(self, places: Iterable[Place]) -> None:
        """Forget values."""
        for place in places:
            self._values.pop(place, None)

    def secret(self, obj: Object) -> str | None:
        """The value of a Secret that is stored; None where it cannot be had."""
        with contextlib.suppress(ConsoleError):
            return self.texts(obj).get("value")
        return None

    def texts(self, obj: Object) -> dict[str, str]:
        """The private values of a stored object, by field.

        Raises:
            ConsoleError: they are missing or cannot be decrypted.
        """
        found = {}
        for name, value in obj.private.items():
            text = self._kept(obj.key, name, value)
            if text is None:
                raise ConsoleError(f"The value of {obj.key.title} {name} is missing in the database.")
            found[name] = text
        return found

    # Sealing

    def sealing_key(self, subject: str) -> bytes | None:
        """The public key that a site's secrets are sealed to."""
        return self._sealing_keys.get(subject)

    def can_seal_to(self, public: bytes) -> bool:
        """Whether a public key that a site offers can be used."""
        try:
            seal("", "", public, self._cipher.sealing_seed)
        except SealBroken:
            return False
        return True

    def put_sealing_key(self, subject: str, public: bytes) -> None:
        """Seal a site's secrets to this key from now on."""
        self._sealing_keys[subject] = public

    def drop_sealing_keys(self, subjects: Iterable[str]) -> None:
        """Seal nothing more to these sites, which were deleted."""
        for subject in subjects:
            self._sealing_keys.pop(subject, None)

    def seals(self, site: ObjectKey) -> bool:
        """See isthmus.slice.Sealer."""
        return site_subject(site) in self._sealing_keys

    def seal(self, site: ObjectKey, obj: Object) -> bytes:
        """See isthmus.slice.Sealer. The console has made sure of all keys and values when they came in."""
        key = sealed_key(obj.key)
        assert key is not None, f"{obj.key} has nothing to seal"
        subject = site_subject(site)
        recipient, seed = self._sealing_keys[subject], self._cipher.sealing_seed
        values = {
            name: seal(text, sealing_place(subject, str(obj.key), name), recipient, seed)
            for name, text in self.texts(obj).items()
        }
        metadata = Metadata(tenant=key.tenant, namespace=key.namespace, name=key.name)
        return emit_envelope(KINDS[key.kind](kind=key.kind, metadata=metadata, spec=SealedSpec(values=values)))


def places_of(obj: Object | None) -> Collection[Place]:
    """Where the private values of an object belong."""
    if obj is None:
        return ()
    return {Place(str(obj.key), name, value.fingerprint) for name, value in obj.private.items()}


def _check(obj: Object, texts: Mapping[str, str], now: datetime) -> Iterable[Diagnostic]:
    if not isinstance(obj, Certificate) or obj.chain is None:
        return
    expiry = certificate_expiry(obj.chain)
    if expiry <= now:
        text = f"a certificate of the chain expired at {expiry:%Y-%m-%d %H:%M} UTC"
        yield Diagnostic("expired-certificate", obj.key, "spec.chain", text, "give a renewed one")
    if "privateKey" in texts:
        try:
            check_key(texts["privateKey"], obj.chain)
        except ValueError as error:
            mend = "give the private key of the certificate"
            yield Diagnostic("wrong-private-key", obj.key, "spec.privateKey", str(error), mend)


def _unknown(key: ObjectKey, name: str) -> Diagnostic:
    return Diagnostic(
        "unknown-private-value",
        key,
        f"spec.{name}",
        "the console keeps no value with this fingerprint for this object",
        "write the value itself",
    )
