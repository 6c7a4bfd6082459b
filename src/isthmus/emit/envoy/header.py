"""Changes to headers."""

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption


def set_header(key: str, value: str) -> HeaderValueOption:
    """The header with this value alone. The value is a format string: `%` starts a variable."""
    return HeaderValueOption(
        header=HeaderValue(key=key, value=value), append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    )


def literal_header(key: str, value: str) -> HeaderValueOption:
    """The header with this value as it stands."""
    return set_header(key, value.replace("%", "%%"))
