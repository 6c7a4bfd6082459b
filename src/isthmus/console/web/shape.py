"""How values look: times, numbers, names. Filters of the templates."""

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from isthmus.console.web.chart import significant
from isthmus.model.key import ObjectKey, parse_key
from isthmus.model.kind import KINDS

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def number(value: float) -> str:
    """With thin spaces between thousands: 12 500."""
    return f"{value:,.0f}".replace(",", "\u202f")


def span(seconds: float) -> str:
    """A length of time in its two largest units: `3 h 20 min`, `45 s`, `0 s`."""
    left = max(0, round(seconds))
    for index, (size, unit) in enumerate(_UNITS):
        if left >= size:
            text = f"{left // size} {unit}"
            if index + 1 < len(_UNITS) and left < size * 10:
                smaller, name = _UNITS[index + 1]
                rest = left % size // smaller
                text += f" {rest} {name}" if rest else ""
            return text
    return "0 s"


def rough(seconds: float) -> str:
    """A length of time in its largest unit: `3 h`."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{int(seconds // size)} {unit}"


def seconds_of(moment: Any) -> float | None:
    """Seconds since 1970 of a datetime or of such a number."""
    if moment is None:
        return None
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def ago(moment: Any) -> Markup:
    """`3 min ago`, or `in 9 d`, with the whole time where the pointer rests."""
    at = seconds_of(moment)
    if at is None:
        return Markup('<span class="quiet">never</span>')
    passed = time.time() - at
    text = "just now" if abs(passed) < 2 else f"{rough(passed)} ago" if passed > 0 else f"in {rough(-passed)}"
    when = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        when.strftime("%Y-%m-%dT%H:%M:%SZ"), when.strftime("%Y-%m-%d %H:%M:%S"), text
    )


def clock(moment: Any) -> str:
    """`2026-11-27 20:21:53`, UTC."""
    at = seconds_of(moment)
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def key_of(value: ObjectKey | str) -> ObjectKey | None:
    """The key, or None for a text that is none."""
    if isinstance(value, ObjectKey):
        return value
    try:
        return parse_key(value)
    except ValueError:
        return None


def href(value: ObjectKey | str) -> str:
    """The page of an object; a site and a virtual host have their own."""
    key = key_of(value)
    cls = KINDS.get(key.kind) if key is not None else None
    if key is None or cls is None or cls.internal:
        return ""
    name = quote(key.name, safe="")
    if key.kind == "Site":
        return f"/sites/{name}"
    if key.kind == "VirtualHost":
        return f"/virtualhosts/{quote(key.namespace, safe='')}/{name}"
    return object_href(key)


def object_href(value: ObjectKey | str, action: str = "") -> str:
    """The page of an object among all objects, or of something to do with it (`edit`, `history`)."""
    key = key_of(value)
    cls = KINDS.get(key.kind) if key is not None else None
    if key is None or cls is None:
        return ""
    namespace = quote(key.namespace, safe="") or "-"
    return f"/objects/{cls.plural}/{namespace}/{quote(key.name, safe='')}" + (f"/{action}" if action else "")


def title(value: ObjectKey | str) -> str:
    """`Cluster shop/web`."""
    key = key_of(value)
    return key.title if key is not None else str(value)


def path(value: ObjectKey | str) -> str:
    """`shop/web`."""
    key = key_of(value)
    return key.path if key is not None else str(value)


def link(value: ObjectKey | str, text: str = "") -> Markup:
    """An object's name that leads to its page."""
    target, name = href(value), text or title(value)
    return Markup('<a href="{}">{}</a>').format(target, name) if target else Markup("{}").format(name)


def plural(count: int, one: str, many: str = "") -> str:
    """`1 site`, `3 sites`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def capitalize_first(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def subject_name(subject: str) -> str:
    """`site fra` of `default/site/fra`."""
    return " ".join(subject.split("/")[1:])


def subject_href(subject: str) -> str:
    """The page of a site or region."""
    parts = subject.split("/")
    if len(parts) != 3:
        return ""
    return f"/sites/{quote(parts[2], safe='')}" if parts[1] == "site" else f"/objects/regions/-/{quote(parts[2])}"


def api_href(edge: Any) -> str:
    """The page of the endpoints that an edge of the service graph uses; empty where there is none."""
    end, other, name = (
        (edge.target, edge.source, "client") if edge.kind == "request" else (edge.source, edge.target, "cluster")
    )
    host = end.removeprefix("virtual-host:")
    if host == end or "/" not in host:
        return ""
    value = other.removeprefix("client:") if name == "client" else other.removeprefix("cluster:")
    return f"/apis/{quote(host)}?{name}={quote(value, safe='')}"


FILTERS = {
    "api_href": api_href,
    "capitalize_first": capitalize_first,
    "subject_name": subject_name,
    "subject_href": subject_href,
    "number": number,
    "span": span,
    "ago": ago,
    "clock": clock,
    "href": href,
    "object_href": object_href,
    "title_of": title,
    "path_of": path,
    "link": link,
    "plural": plural,
    "significant": significant,
}
