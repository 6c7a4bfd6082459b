"""Isthmus: a globally distributed application network."""

__version__ = "0.1.0"
