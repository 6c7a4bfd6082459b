"""Which of the declared objects each site and region needs, kept current edit by edit.

Pure: no sockets, files, clocks, environment or randomness. Start at `index.py`.
"""

from isthmus.slice.delta import SliceDelta
from isthmus.slice.index import SLICER, SliceIndex
from isthmus.slice.nearness import distance_km, nearest_regions
from isthmus.slice.subject import region_subject, site_subject

__all__ = [
    "SLICER",
    "SliceDelta",
    "SliceIndex",
    "distance_km",
    "nearest_regions",
    "region_subject",
    "site_subject",
]
