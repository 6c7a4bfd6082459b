"""Parse a kubeconfig: where an API server is, and with which credentials it is spoken to.

A kubeconfig comes from an object, so from somebody who may edit objects but not log in to the site. Whatever would run
a command or read a file there is refused: `exec` and `auth-provider` plugins, and paths in place of contents.

Format: client.authentication.k8s.io and the `Config` type of client-go's `tools/clientcmd/api/v1`.
"""

import base64
import binascii
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

import yaml

from isthmus.discovery.error import CredentialError, SettingError
from isthmus.discovery.tls import make_context
from isthmus.model.header_text import find_unsendable

_PATHS = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
    "tokenFile": "token",
}
_MEND = "`kubectl config view --minify --flatten --raw` writes one with everything inside"


@dataclass(frozen=True, slots=True)
class Access:
    """How an API server is reached.

    Attributes:
        server: URL without a final slash.
        context: TLS, with the client's certificate if it has one; None for plain HTTP.
        server_name: that the server's certificate must bear, when it is not the URL's host.
        proxy: URL of an HTTP(S) proxy; empty for none.
        token: bearer token; empty for none.
        user, password: HTTP Basic authentication, which old clusters have; empty for none.
    """

    server: str
    context: ssl.SSLContext | None = field(repr=False)
    server_name: str = ""
    proxy: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.server).netloc.rpartition("@")[2]


def parse_kubeconfig(text: str, context: str = "") -> Access:
    """Parse the text of a kubeconfig, for one of its contexts (its current one when empty).

    Raises:
        SettingError: it is not a kubeconfig, lacks something, or asks for what a site does not do.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # whose text would quote the secret
        raise SettingError(f"the kubeconfig is not YAML; {_MEND}") from None
    if not isinstance(document, Mapping):
        raise SettingError(f"the secret does not hold a kubeconfig; {_MEND}")
    name = context or document.get("current-context") or ""
    if not isinstance(name, str) or not name:
        raise SettingError("the kubeconfig has no current-context; set `context`")
    chosen = _named(document, "contexts", "context", name)
    cluster = _named(document, "clusters", "cluster", _text(chosen, "cluster", f"context {name!r}"))
    user_name = chosen.get("user")
    user = _named(document, "users", "user", user_name) if isinstance(user_name, str) and user_name else {}
    _refuse(cluster, user)
    return _access(cluster, user)


def _access(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Access:
    server = _text(cluster, "server", "cluster").rstrip("/")
    parts = _split(server)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise SettingError("the cluster's server must be an http:// or https:// URL without a user")
    token, password = _optional(user, "token").strip(), _optional(user, "password")
    place = find_unsendable(token)
    if place is not None:
        raise CredentialError(f"no header of HTTP can hold character {place} of the kubeconfig's token")
    if parts.scheme == "http":
        if token or password or user.get("client-key-data"):
            raise SettingError("credentials over plain http:// could be read by anybody; use an https:// server")
        return Access(server, None, proxy=_proxy(cluster))
    certificate, key = _data(user, "client-certificate-data"), _data(user, "client-key-data")
    if bool(certificate) != bool(key):
        raise SettingError("set both client-certificate-data and client-key-data, or neither")
    return Access(
        server,
        make_context(_data(cluster, "certificate-authority-data"), certificate, key),
        _optional(cluster, "tls-server-name"),
        _proxy(cluster),
        token,
        _optional(user, "username"),
        password,
    )


def _refuse(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    for plugin in ("exec", "auth-provider"):
        if user.get(plugin):
            raise SettingError(
                f"the user of the kubeconfig uses {plugin!r}, which would run a program at the site; "
                "give a service account's token or a client certificate"
            )
    for path, inline in _PATHS.items():
        for part in (cluster, user):
            if part.get(path) and not part.get(inline):
                raise SettingError(f"the kubeconfig names a file ({path}); put its content in {inline}: {_MEND}")
    if cluster.get("insecure-skip-tls-verify"):
        raise SettingError("insecure-skip-tls-verify is not supported; set certificate-authority-data")
    if user.get("as") or user.get("as-groups") or user.get("as-uid"):
        raise SettingError("impersonation (`as`) is not supported; use the credentials of that user")


def _proxy(cluster: Mapping[str, Any]) -> str:
    proxy = _optional(cluster, "proxy-url")
    parts = _split(proxy)
    if proxy and (parts is None or parts.scheme not in ("http", "https")):
        raise SettingError("the cluster's proxy-url must be an http:// or https:// URL")
    return proxy


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None when it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _named(document: Mapping[str, Any], collection: str, item: str, name: str) -> Mapping[str, Any]:
    entries = document.get(collection)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("name") == name:
            found = entry.get(item)
            return found if isinstance(found, Mapping) else {}
    raise SettingError(f"the kubeconfig has no {item} {name!r}")


def _text(part: Mapping[str, Any], key: str, where: str) -> str:
    value = part.get(key)
    if not isinstance(value, str) or not value:
        raise SettingError(f"{where} of the kubeconfig has no {key!r}")
    return value


def _optional(part: Mapping[str, Any], key: str) -> str:
    value = part.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SettingError(f"{key!r} of the kubeconfig is not a text")
    return value


def _data(part: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(_optional(part, key), validate=True)
    except binascii.Error:
        raise SettingError(f"{key!r} of the kubeconfig is not base64") from None
