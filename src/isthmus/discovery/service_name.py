"""The name under which registries that want labels know a domain."""

import hashlib
import re

_LONGEST = 63
_OTHER = re.compile(r"[^a-z0-9]+")


def service_name(domain: str) -> str:
    """`shop.example` is `shop-example`: a DNS label that starts with a letter (RFC 1035), of at most 63 characters.

    Raises:
        ValueError: a wildcard, which is no name.
    """
    if domain.startswith("*"):
        raise ValueError(f"{domain} is a wildcard, which cannot be the name of a service; name domains one by one")
    name = _OTHER.sub("-", domain).strip("-")
    if not name[:1].isalpha():
        name = f"d-{name}"
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - 9].rstrip('-')}-{digest(domain)[:8]}"
    return name


def digest(text: str) -> str:
    """A short name that says who or what without saying it: 10 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]
