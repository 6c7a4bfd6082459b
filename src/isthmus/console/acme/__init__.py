"""Certificates by ACME (RFC 8555): when one is due, what is said to the server, and what the sites do meanwhile."""

from isthmus.console.acme.standing import Standing
from isthmus.console.acme.worker import AcmeWorker

__all__ = ["AcmeWorker", "Standing"]
