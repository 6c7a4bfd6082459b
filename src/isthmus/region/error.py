"""Why a region does not start, when whoever started it can mend that."""


class RegionRefused(Exception):
    """Started with settings or a state directory that cannot be used. The text is a sentence for people."""
