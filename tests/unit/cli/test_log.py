"""What a process writes to its log."""

import json
import subprocess
import sys

PROGRAM = """
import logging
import structlog
from isthmus.cli.log import configure_log

configure_log()


def join(token_secret):
    raise ValueError("no")


for log in (structlog.get_logger(), logging.getLogger("asyncio")):
    try:
        join("very-secret")
    except ValueError:
        log.exception("failed")
"""


def test_an_exception_is_logged_without_the_values_of_variables() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["failed", "failed"]
    for line in lines:
        assert line["exception"][0]["exc_type"] == "ValueError"
        assert [frame["name"] for frame in line["exception"][0]["frames"]] == ["<module>", "join"]
    assert "very-secret" not in done.stderr
