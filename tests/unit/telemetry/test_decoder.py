"""From Envoy's messages to records and roll-ups."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2

from isthmus.telemetry.bucket import BASE, bucket_of, middle_of, quantile_of
from isthmus.telemetry.decoder import RECORD_SCHEMA, Decoder, bucket_expression
from isthmus.telemetry.flag import class_of, parse_flags, words_of
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.rollup import MANY_CLIENTS, OTHER, few_clients, latencies_of, signals_of
from isthmus.telemetry.sampling import Sampling, sample

from .message import NOON, entry, message

NAMING = Naming("ams", {"203.0.113.9:7400": "fra"}, {"192.0.2.50": "cluster:shop/cart"})


def records(*entries: object, log: str = "ingress") -> pl.DataFrame:
    return Decoder(NAMING).parse(log, [message(each) for each in entries])


def test_a_record_says_who_asked_for_what_and_where_it_went() -> None:
    [row] = records(
        entry(path="/cart?x=1", upstream=("203.0.113.9", 7400), cluster="default/shop/web@fabric")
    ).to_dicts()
    assert row["time"] == NOON
    assert (row["namespace"], row["virtual_host"], row["route"]) == ("shop", "shop/site", "shop/home")
    assert (row["cluster"], row["peer"], row["endpoint"]) == ("shop/web", "fra", "")
    assert (row["method"], row["path"], row["protocol"], row["code"]) == ("GET", "/cart?x=1", "HTTP/1.1", 200)
    assert (row["total"], row["own"], row["upstream"]) == (5000, 1000, 4000)
    assert (row["client"], row["client_address"]) == ("external", "198.51.100.4")
    assert (row["received"], row["sent"], row["attempts"]) == (10, 1000, 1)


def test_local_endpoints_known_clients_and_identities_are_named() -> None:
    local, known, identified = records(
        entry(), entry(client="192.0.2.50"), entry(uri="spiffe://shop.example/cart")
    ).to_dicts()
    assert (local["peer"], local["endpoint"]) == ("ams", "192.0.2.7:8080")
    assert known["client"] == "cluster:shop/cart"
    assert (identified["client"], identified["tls"]) == ("spiffe://shop.example/cart", "TLSv1.3")


def test_a_subset_is_named_by_the_cluster_of_sites_or_by_the_endpoint_at_this_site() -> None:
    naming = Naming("ams", NAMING.sites, subsets={"shop/web 192.0.2.7:8080": "v1"})
    frame = Decoder(naming).parse(
        "ingress",
        [
            message(entry(upstream=("203.0.113.9", 7400), cluster="default/shop/web@subset-v2")),
            message(entry(cluster="default/shop/web@local")),
            message(entry(upstream=("192.0.2.8", 8080), cluster="default/shop/web@local")),
            message(entry(cluster="default/shop/web@tunnel-v3")),
        ],
    )
    assert frame["subset"].to_list() == ["v2", "v1", "", "v3"]
    assert frame["cluster"].to_list() == ["shop/web"] * 4


def test_the_log_of_an_egress_site_names_the_calling_site() -> None:
    caller = "spiffe://isthmus.test/tenant/default/site/nyc/node/0"
    [row] = records(entry(uri=caller, route="fabric"), log="egress").to_dicts()
    assert (row["log"], row["peer"], row["endpoint"], row["client"]) == ("egress", "nyc", "192.0.2.7:8080", "")
    assert (row["namespace"], row["cluster"], row["virtual_host"]) == ("shop", "shop/web", "")
    [own] = records(entry(route="fabric"), log="egress").to_dicts()
    assert own["peer"] == "ams"


def test_flags_are_words_and_failures_have_a_class() -> None:
    rows = records(
        entry(code=503, flags=("no_healthy_upstream",), upstream=None, cluster=""),
        entry(code=504, flags=("upstream_request_timeout", "upstream_retry_limit_exceeded")),
        entry(code=500),
        entry(code=404),
        entry(code=200, flags=("upstream_remote_reset",), attempts=2),
        entry(code=0, flags=("downstream_connection_termination",)),
    ).to_dicts()
    assert [row["error"] for row in rows] == [
        "unreachable",
        "timeout",
        "server-error",
        "client-error",
        "",
        "client-gone",
    ]
    assert rows[1]["flags"] == "request timed out, retries used up"
    assert rows[0]["peer"] == ""


@pytest.mark.parametrize("name", [field.name for field in accesslog_pb2.ResponseFlags.DESCRIPTOR.fields])
def test_every_flag_that_envoy_has_has_words(name: str) -> None:
    flags = accesslog_pb2.ResponseFlags()
    if name == "unauthorized_details":
        flags.unauthorized_details.reason = 1
    else:
        setattr(flags, name, True)
    parsed = parse_flags(flags.SerializeToString())
    assert parsed == {accesslog_pb2.ResponseFlags.DESCRIPTOR.fields_by_name[name].number}
    assert words_of(parsed)
    assert class_of(frozenset(), 0) == ""


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(ValueError, match="no log"):
        Decoder(NAMING).parse("other", [message(entry())])
    with pytest.raises(ValueError, match="not messages"):
        Decoder(NAMING).parse("ingress", [b"\xff\xff\xff"])
    assert Decoder(NAMING).parse("ingress", [message()]).schema == pl.Schema(RECORD_SCHEMA)


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_connection_or_session_is_a_record_too(protocol: str) -> None:
    tcp = accesslog_pb2.TCPAccessLogEntry()
    tcp.common_properties.CopyFrom(entry(route="").common_properties)
    tcp.connection_properties.received_bytes = 7
    tcp.common_properties.response_flags.stream_idle_timeout = protocol == "UDP"  # how every session ends
    found = als_pb2.StreamAccessLogsMessage()
    found.tcp_logs.log_entry.append(tcp)
    [row] = (
        Decoder(NAMING).parse(f"ingress default/shop/db|shop/all {protocol}", [found.SerializeToString()]).to_dicts()
    )
    assert (row["virtual_host"], row["route"]) == ("shop/db", "shop/all")
    assert (row["protocol"], row["received"], row["code"], row["error"]) == (protocol, 7, 0, "")


def test_signals_count_every_record_once() -> None:
    frame = records(
        entry(),
        entry(attempts=3),
        entry(code=500),
        entry(at=NOON + timedelta(seconds=1)),
        entry(route="default/shop/site|shop/other"),
    )
    signals = signals_of(frame)
    assert signals["requests"].sum() == 5
    assert signals["retries"].sum() == 2
    assert signals["sent"].sum() == 5000
    assert signals.height == 4
    latencies = latencies_of(frame)
    assert latencies.group_by("part").agg(pl.col("requests").sum())["requests"].to_list() == [5, 5, 5]


def test_buckets_hold_quantiles_within_their_width() -> None:
    values = [13, 100, 950, 5_000, 20_000, 1_000_000, 3_600_000_000]
    frame = pl.DataFrame({"x": [0, *values]})
    assert frame.select(bucket_expression("x")).to_series().to_list() == [bucket_of(each) for each in (0, *values)]
    for value in values:
        assert abs(middle_of(bucket_of(value)) / value - 1) < BASE - 1
    counts = [(bucket_of(each), 1) for each in range(1, 10_001)]
    for share in (0.5, 0.9, 0.99):
        quantile = quantile_of(counts, share)
        assert quantile is not None
        assert abs(quantile / (share * 10_000) - 1) < 0.026
    assert quantile_of([], 0.5) is None


def test_sampling_keeps_failures_and_the_same_requests_everywhere() -> None:
    some = [
        entry(request_id=f"{number:036x}", code=500 if number % 50 == 0 else 200) for number in range(0, 65_536, 131)
    ]
    frame = records(*some)
    kept = sample(frame, Sampling(share=0.25), 1)
    failures = frame.filter(pl.col("error") != "")
    assert failures.height == kept.filter(pl.col("error") != "").height > 0
    ordinary = kept.height - failures.height
    assert 0.15 < ordinary / (frame.height - failures.height) < 0.35
    again = sample(records(*some, log="egress"), Sampling(share=0.25), 1)
    assert set(again["request_id"]) == set(kept["request_id"])
    few = sample(frame, Sampling(per_second=10), 2)
    assert few.height - failures.height < 60


def test_the_rarest_of_very_many_clients_become_one() -> None:
    clients = [f"spiffe://shop.example/{number}" for number in range(MANY_CLIENTS + 50)]
    frame = records(*(entry(uri=uri) for uri in [*clients, clients[0]]))
    found = few_clients(frame)
    assert found["client"].n_unique() == MANY_CLIENTS + 1
    assert found.filter(pl.col("client") == OTHER).height == 50
    assert found.height == frame.height
