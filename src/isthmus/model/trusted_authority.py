"""TrustedAuthority: the certificate authorities whose certificates of clients or endpoints are believed."""

from typing import ClassVar, Literal

from pydantic import Field

from isthmus.model.object import Object, Spec
from isthmus.model.pem import Certificates


class TrustedAuthoritySpec(Spec):
    """Certificates of authorities."""

    certificates: Certificates = Field(
        description="PEM of one or more certificates; who presents a certificate issued by one of them is believed."
    )


class TrustedAuthority(Object):
    """A bundle of certificate authorities, for client certificates or for endpoints."""

    plural: ClassVar[str] = "trustedauthorities"

    kind: Literal["TrustedAuthority"] = "TrustedAuthority"
    spec: TrustedAuthoritySpec
