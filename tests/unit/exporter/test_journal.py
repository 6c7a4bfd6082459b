"""A process's log on its way to a collector."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from typing import Any

from isthmus.exporter.journal import Journal, emit_record, unrecorded

PROGRAM = """
import json
import logging
import structlog
from isthmus.cli.log import configure_log
from isthmus.exporter.journal import Journal, unrecorded

journal = Journal()
configure_log(journal)


def join(token_secret):
    raise ValueError("no")


log = structlog.get_logger()
log.debug("too small")
log.info("site.started", site="fra", port=80, share=0.5, live=True, more={"a": [1]}, none=None)
with unrecorded():
    log.info("of the collector's own")
for each in (log, logging.getLogger("asyncio")):
    try:
        join("very-secret")
    except ValueError:
        each.exception("failed")
for record in journal.take(100):
    values = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in record.attributes}
    print(json.dumps([record.severity_text, record.severity_number, record.body.string_value, values]))
"""


def test_what_is_written_to_stderr_is_kept_with_what_keeps_secrets_out_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(level, number, text) for level, number, text, _ in lines] == [
        ("INFO", 9, "site.started"),
        ("ERROR", 17, "failed"),
        ("ERROR", 17, "failed"),
    ]
    assert lines[0][3] == {"site": "fra", "port": 80, "share": 0.5, "live": True, "more": '{"a": [1]}'}
    for _, _, _, values in lines[1:]:
        assert (values["exception.type"], values["exception.message"]) == ("ValueError", "no")
        assert '"name": "join"' in values["exception.stacktrace"]
    assert "very-secret" not in done.stdout
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events == ["site.started", "of the collector's own", "failed", "failed"]


def test_it_is_bounded_and_counts_what_is_lost() -> None:
    journal = Journal(most=3, limit=10_000)
    for number in range(5):
        assert journal(None, "info", {"event": f"e{number}"}) == {"event": f"e{number}"}
    assert journal.losses() == {"buffer": 2, "encoding": 0}
    assert [each.body.string_value for each in journal.take(2)] == ["e0", "e1"]
    journal(None, "info", {"event": "x" * 9_000, "more": "y" * 9_000})
    assert journal.losses()["buffer"] == 3
    journal(None, "info", {"event": "small"})
    assert [each.body.string_value for each in journal.take(9)] == ["e2", "small"]


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_whoever_logs_never_hears_of_what_cannot_be_written() -> None:
    journal = Journal()
    event: dict[str, Any] = {"event": "odd", "value": Unspeakable()}
    assert journal(None, "info", event) is event
    assert journal.losses() == {"buffer": 0, "encoding": 1}
    journal(None, "info", {"event": "bad \ud800 text", "large": 2**70, "nothing": None, "_record": logging.root})
    [record] = journal.take(1)
    assert record.body.string_value == "bad ? text"
    assert {each.key: each.value.string_value for each in record.attributes} == {"large": str(2**70)}


def test_any_thread_may_log() -> None:
    journal = Journal(most=100_000, limit=1 << 30)

    def talk() -> None:
        for number in range(500):
            journal(None, "info", {"event": f"e{number}"})

    threads = [threading.Thread(target=talk) for _ in range(8)]
    for each in threads:
        each.start()
    taken = 0
    while any(each.is_alive() for each in threads):
        taken += len(journal.take(100))
    while found := journal.take(100):
        taken += len(found)
    assert taken == 4_000
    assert journal.losses() == {"buffer": 0, "encoding": 0}


def test_silence_ends_where_it_ends() -> None:
    journal = Journal()
    with unrecorded():
        journal(None, "info", {"event": "inside"})
    journal(None, "info", {"event": "behind"})
    assert [each.body.string_value for each in journal.take(9)] == ["behind"]


def test_times_are_those_of_the_event() -> None:
    record = emit_record({"event": "a", "level": "warning", "timestamp": "2026-01-01T00:00:00Z"}, 1_000)
    assert (record.time_unix_nano, record.severity_text, list(record.attributes)) == (1_000, "WARNING", [])
