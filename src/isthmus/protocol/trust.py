"""Trust lists on the wire. A relay cannot add to them: a list is signed by a key that is trusted already."""

from typing import Any

from google.protobuf.message import DecodeError

from isthmus.generated import stream_pb2 as wire
from isthmus.identity.credential import TrustList
from isthmus.identity.error import SignatureRefused
from isthmus.identity.signature import Signer, SigningKeys
from isthmus.protocol.error import ManifestRefused

_PURPOSE = "trust"


def make_trust(signer: Signer, trust: TrustList) -> bytes:
    """The list, signed by the console, as a serialized SignedTrust message."""
    body = wire.Trust(
        version=trust.version, bundle_pem=trust.bundle_pem, signing_keys=trust.signing_keys
    ).SerializeToString(deterministic=True)
    signed: bytes = wire.SignedTrust(
        trust=body, signature=signer.sign(_PURPOSE, body), key_id=signer.key_id
    ).SerializeToString()
    return signed


def verify_trust(signed: Any, keys: SigningKeys) -> TrustList:
    """The list in a SignedTrust message. Raises ManifestRefused unless a key of `keys` signed it and it is complete."""
    try:
        keys.verify(_PURPOSE, signed.trust, signed.signature, signed.key_id)
        trust = wire.Trust.FromString(signed.trust)
    except (SignatureRefused, DecodeError) as error:
        raise ManifestRefused("signature", f"The trust list: {error}") from error
    if not trust.bundle_pem or not trust.signing_keys:
        raise ManifestRefused("empty", "A trust list without authorities or signing keys is refused.")
    return TrustList(trust.version, trust.bundle_pem, tuple(trust.signing_keys))
