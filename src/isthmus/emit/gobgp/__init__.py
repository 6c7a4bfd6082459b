"""Endpoint routes, sites and reflectors as messages of GoBGP's API."""
