"""Changes to headers."""

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption

from isthmus.compile.option import HeaderEdit

_ACTIONS = {
    "set": HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    "append": HeaderValueOption.APPEND_IF_EXISTS_OR_ADD,
    "add": HeaderValueOption.ADD_IF_ABSENT,
}


def emit_header_values(edits: Iterable[HeaderEdit]) -> list[HeaderValueOption]:
    """Every edit but removals."""
    return [
        HeaderValueOption(header=HeaderValue(key=edit.name, value=edit.value), append_action=_ACTIONS[edit.action])
        for edit in edits
        if edit.action != "remove"
    ]


def emit_removals(edits: Iterable[HeaderEdit]) -> list[str]:
    """The names of headers that are removed."""
    return [edit.name for edit in edits if edit.action == "remove"]


def set_header(key: str, value: str) -> HeaderValueOption:
    """The header with this value alone. The value is a format string: `%` starts a variable."""
    return HeaderValueOption(
        header=HeaderValue(key=key, value=value), append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    )


def literal_header(key: str, value: str) -> HeaderValueOption:
    """The header with this value as it stands."""
    return set_header(key, value.replace("%", "%%"))
