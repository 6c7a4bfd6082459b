"""Static files: read once, served under the hash of all of them, so that browsers may keep them for ever."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response

from isthmus.console.error import RequestRefused

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "json": "application/json",
}
_PACKED = ("css", "js", "svg", "json")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    packed: bytes | None
    media_type: str


def _read(folder: Traversable, prefix: str = "") -> dict[str, _Asset]:
    found: dict[str, _Asset] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _read(entry, f"{prefix}{entry.name}/")
            continue
        extension = entry.name.rpartition(".")[2]
        if extension not in _TYPES:
            continue
        body = entry.read_bytes()
        packed = gzip.compress(body, 9, mtime=0) if extension in _PACKED else None
        found[prefix + entry.name] = _Asset(body, packed, _TYPES[extension])
    return found


_ASSETS = _read(files("isthmus.console.web") / "static")
_TAG = hashlib.sha256(b"".join(name.encode() + _ASSETS[name].body for name in sorted(_ASSETS))).hexdigest()[:12]


def asset_url(name: str) -> str:
    """Where a file of `static/` is served."""
    if name not in _ASSETS:
        raise KeyError(name)
    return f"/static/{_TAG}/{name}"


def asset_body(name: str) -> bytes:
    """What a file of `static/` holds."""
    return _ASSETS[name].body


@router.get("/static/{tag}/{name:path}")
async def static(tag: str, name: str, request: Request) -> Response:
    """A file of `static/`. Not a secret: no session is asked for."""
    asset = _ASSETS.get(name)
    if asset is None:
        raise RequestRefused(404, "not-found", f"There is no file {name}.")
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if tag == _TAG else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)
