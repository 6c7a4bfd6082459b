"""What can be wrong with an identity, by whose fault it is."""


class IdentityError(Exception):
    """Anything that identity/ refuses. The text is a sentence for people."""


class NameInvalid(IdentityError, ValueError):
    """A SPIFFE name, subject or part of one that is not of the deployment's form."""


class TokenInvalid(IdentityError, ValueError):
    """A join token that was not made by a console, or was cut when it was copied."""


class CertificateRefused(IdentityError):
    """A certificate, signing request or renewal that does not prove what it claims."""


class SignatureRefused(IdentityError):
    """Signed bytes whose signature is not by a trusted key, or not of these bytes."""


class SealBroken(IdentityError):
    """Sealed bytes that were not sealed to this key for this place, or were changed; or a key that cannot seal."""


class CredentialMissing(IdentityError):
    """A state directory that holds no identity yet: join first."""


class JoinRefused(IdentityError):
    """The console answered and said no: `code` is stable, the text is the console's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class JoinUnreachable(IdentityError):
    """No console of the token answered; trying again later may work."""
