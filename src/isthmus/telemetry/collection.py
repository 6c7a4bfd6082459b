"""What a site makes of some seconds of its log: the tables of a batch."""

from collections.abc import Mapping, Sequence

import polars as pl
import structlog

from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.rollup import few_clients, latencies_of, signals_of
from isthmus.telemetry.sampling import Sampling, sample

log = structlog.get_logger()


def collect(
    decoder: Decoder, messages: Mapping[str, Sequence[bytes]], rule: Sampling, seconds: float
) -> tuple[dict[str, pl.DataFrame], int]:
    """Tables by name, and how many requests they tell of. `messages` are by the name of their log."""
    records = decode(decoder, messages)
    return (tables_of(records, rule, seconds), records.height) if records is not None else ({}, 0)


def decode(decoder: Decoder, messages: Mapping[str, Sequence[bytes]]) -> pl.DataFrame | None:
    """All records; None when there are none.

    Messages that cannot be read are passed over, so that they cost nobody else's.
    """
    frames = []
    for name, some in messages.items():
        try:
            frames.append(decoder.parse(name, some))
        except ValueError as error:
            log.error("telemetry.not_decoded", log=name, error=str(error))
    records = pl.concat(frames) if frames else None
    return few_clients(records) if records is not None and records.height else None


def tables_of(records: pl.DataFrame, rule: Sampling, seconds: float) -> dict[str, pl.DataFrame]:
    """Tables by name."""
    return {
        "signal": signals_of(records),
        "latency": latencies_of(records),
        "record": sample(records, rule, seconds).sort("time"),
    }
