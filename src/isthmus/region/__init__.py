"""The distributed control plane of one point of presence: relays manifests and objects, reflects health routes.

Start at `process.py`. `roster.py` is pure: who the neighbours are, from the manifests; the rest acts.
"""
