"""`isthmus version`."""


def version() -> None:
    """Print the release."""
    from isthmus import __version__

    print(__version__)
