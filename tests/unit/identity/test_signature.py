import pytest

from isthmus.identity import SignatureRefused, Signer, parse_signing_keys


def test_signed_bytes_verify_for_their_purpose() -> None:
    signer = Signer.create()
    keys = parse_signing_keys([signer.public_pem])
    keys.verify("manifest", b"body", signer.sign("manifest", b"body"), signer.key_id)
    assert keys.pems == (signer.public_pem,)


def test_a_signer_is_read_back() -> None:
    signer = Signer.create()
    again = Signer.load(signer.private_pem)
    assert (again.key_id, again.sign("manifest", b"x")) == (signer.key_id, signer.sign("manifest", b"x"))


@pytest.mark.parametrize(("purpose", "body"), [("manifest", b"other"), ("trust", b"body")])
def test_other_bytes_or_another_purpose_are_refused(purpose: str, body: bytes) -> None:
    signer = Signer.create()
    with pytest.raises(SignatureRefused, match="changed on the way"):
        parse_signing_keys([signer.public_pem]).verify(purpose, body, signer.sign("manifest", b"body"), signer.key_id)


def test_an_unknown_key_is_refused() -> None:
    signer, other = Signer.create(), Signer.create()
    with pytest.raises(SignatureRefused, match="not trusted here"):
        parse_signing_keys([other.public_pem]).verify("manifest", b"", signer.sign("manifest", b""), signer.key_id)
