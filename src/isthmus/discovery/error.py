"""What can go wrong with a registry: texts for people, without secrets."""


class RegistryError(Exception):
    """A registry could not be asked or told, or what it said could not be understood.

    Attributes:
        retry_after: seconds that the registry asks to be left alone; 0 when it does not say.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SettingError(Exception):
    """The settings or secrets of a registry cannot work, however often they are tried."""


class CredentialError(SettingError):
    """A token cannot be sent: it is no text for a header of HTTP."""
