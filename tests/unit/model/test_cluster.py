"""What a cluster refuses by itself."""

import pytest
from pydantic import ValidationError

from isthmus.model.cluster import ClusterSpec
from isthmus.model.subset import subset_mark, subsets_of

ONE = {"name": "one", "selector": ["version=1"]}


def spec(**more: object) -> ClusterSpec:
    return ClusterSpec.model_validate({"endpoints": [{"name": "a"}], **more}, strict=False)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"subsets": [ONE, ONE]}, "two subsets have the same name"),
        ({"subsets": [ONE], "subsetFallback": "DEFAULT"}, "go together"),
        ({"subsets": [ONE], "defaultSubset": "one"}, "go together"),
        ({"subsets": [ONE], "subsetFallback": "DEFAULT", "defaultSubset": "two"}, "not among the subsets"),
        ({"subsets": [{"name": "one", "selector": []}]}, "at least 1 item"),
        ({"subsets": [{"name": "one", "selector": ["a ="]}, {"name": "b", "selector": ["a b"]}]}, "in 'a b'"),
        ({"leastRequest": {}}, "leastRequest is for loadBalancing LEAST_REQUEST, not ROUND_ROBIN"),
        ({"ringHash": {}, "loadBalancing": "MAGLEV"}, "ringHash is for loadBalancing RING_HASH"),
        ({"maglev": {}, "loadBalancing": "RANDOM"}, "maglev is for loadBalancing MAGLEV"),
        ({"maglev": {"tableSize": 65536}, "loadBalancing": "MAGLEV"}, "65536 is not a prime"),
        ({"ringHash": {"maximumRingSize": 3}, "loadBalancing": "RING_HASH"}, "greater than maximumRingSize"),
        ({"slowStart": {"window": "10s"}, "loadBalancing": "MAGLEV"}, "MAGLEV ignores slowStart"),
        ({"outlierDetection": {"baseEjectionTime": "1m"}}, "longer than maxEjectionTime"),
        ({"connectionPool": {"tcpKeepalive": {"time": "1.5s"}}}, "whole number of seconds"),
        ({"proxyProtocol": "V1"}, "needs endpointSelection LOCAL_ONLY"),
        ({"protocol": "AUTO"}, "agreed on in the TLS handshake"),
    ],
)
def test_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        spec(**more)


def test_an_endpoint_belongs_to_every_subset_that_matches() -> None:
    subsets = (("b", ("version=1",)), ("a", ("gpu", "version in (1, 2)")), ("c", ("!version",)))
    assert subsets_of(subsets, {"version": "1"}) == ("a", "b")
    assert subsets_of(subsets, {"version": "3"}) == ()
    assert subsets_of(subsets, {"gpu": ""}) == ("a", "c")


def test_marks_of_subsets_stay_what_they_are() -> None:
    """Sites of different releases compare them."""
    assert [subset_mark("v10"), subset_mark("v11")] == [3466254822, 250493451]
