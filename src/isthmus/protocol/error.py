"""What goes wrong on a stream, by whose fault it is."""


class ProtocolError(Exception):
    """Anything that protocol/ refuses. `code` is stable, the text is a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ManifestRefused(ProtocolError):
    """A manifest that is not the console's, not for this subject, or not well-formed. The relay is at fault."""


class ManifestGap(ProtocolError):
    """A delta on a base that is not held. Nobody's fault: the whole manifest is asked for."""

    def __init__(self, subject: str) -> None:
        super().__init__("gap", f"A delta of {subject} is on a revision that is not held here.")


class PeerRefused(ProtocolError):
    """The other end may not do what it asks for; its stream ends."""


class QueryFailed(ProtocolError):
    """A question to a site that has no answer: not_connected, timeout, or what the site said."""
