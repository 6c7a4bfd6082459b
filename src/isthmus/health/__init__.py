"""Endpoint health as routes: the codec, the ingress site's table, the choice of site, the egress site's announcements.

Pure: no sockets, files or clocks. Times are Unix seconds (`float`) and come in as arguments.
"""
