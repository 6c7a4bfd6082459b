"""Secrets that cannot be sent as an object wants them sent: found when either is applied, and not when a site tries.

Of a value nothing is shown but where in it the first character is that is at fault.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from isthmus.console.record import StoredObject
from isthmus.discovery.error import CredentialError, SettingError
from isthmus.discovery.kubernetes.kubeconfig import parse_kubeconfig
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.header_text import find_unsendable
from isthmus.model.key import SHARED_NAMESPACE, ObjectKey
from isthmus.model.object import Object, Use
from isthmus.model.service_discovery import ServiceDiscovery

_SENDERS = ("ServiceDiscovery", "TelemetryReceiver", "AlertReceiver")
_TOKENS = ("token", "bearerToken")
_MEND = "give it as it was issued, in ASCII and on one line"


def may_be_faulty(requested: Sequence[Object], texts: Mapping[ObjectKey, str]) -> bool:
    """Whether there is anything to look at; `find_faulty` may take seconds then, for a kubeconfig may be long."""
    return bool(texts) or any(each.kind in _SENDERS for each in requested)


def find_faulty(
    requested: Sequence[Object],
    texts: Mapping[ObjectKey, str],
    records: Mapping[ObjectKey, StoredObject],
    users: Callable[[ObjectKey], frozenset[ObjectKey]],
    kept: Callable[[Object], str | None],
) -> Iterator[Diagnostic]:
    """What is wrong where a requested object, or a Secret of the request, is new or changed.

    Args:
        requested: objects without their private values.
        texts: the values of Secrets among them.
        records: the objects that exist.
        users: what refers to an object now.
        kept: the value of a Secret that exists, where it is known.
    """
    changed = {each.key: each for each in requested if _is_changed(each, records)}
    values = {key: text for key, text in texts.items() if key in changed}
    looked_into: dict[tuple[str, str], str] = {}
    others = {user for key in values for user in users(key)} - {each.key for each in requested}
    stored = (records[key].object for key in sorted(others) if key in records)
    for obj in (each for each in (*requested, *stored) if each.kind in _SENDERS):
        for use in obj.uses():
            allowed = use.target.namespace in (obj.key.namespace, SHARED_NAMESPACE)  # of others' nothing is told
            if use.target.kind != "Secret" or not allowed or not (obj.key in changed or use.target in values):
                continue
            text = texts.get(use.target)
            if text is None and use.target in records:
                text = kept(records[use.target].object)
            reason = _why(obj, use, text, looked_into) if text is not None else ""
            if reason and use.target in values:
                said = f"{obj.key.title} cannot send it ({use.field}): {reason}"
                yield Diagnostic("unsendable-secret", use.target, "spec.value", said, _MEND)
            elif reason:
                said = f"the value of {use.target.title} cannot be sent: {reason}"
                yield Diagnostic("unsendable-secret", obj.key, use.field, said, f"apply the Secret anew; {_MEND}")


def _is_changed(obj: Object, records: Mapping[ObjectKey, StoredObject]) -> bool:
    known = records.get(obj.key)
    return known is None or known.object.spec != obj.spec


def _why(obj: Object, use: Use, text: str, looked_into: dict[tuple[str, str], str]) -> str:
    """`looked_into`: kubeconfigs by text and context, of which many objects may use one."""
    if isinstance(obj, ServiceDiscovery) and obj.spec.kubernetes is not None:
        key = (text, obj.spec.kubernetes.context)
        if key not in looked_into:
            looked_into[key] = _why_of_kubeconfig(*key)
        return looked_into[key]
    leaf = use.field.rpartition(".")[2]
    if leaf in _TOKENS or (leaf == "secret" and ".headers[" in use.field):
        place = find_unsendable(text)
        return f"no header of HTTP can hold its character {place}" if place is not None else ""
    return ""


def _why_of_kubeconfig(text: str, context: str) -> str:
    try:
        parse_kubeconfig(text, context)
    except CredentialError as error:
        return str(error)
    except SettingError:  # which the site says of it
        pass
    return ""
