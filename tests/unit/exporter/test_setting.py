"""What `--otlp FILE` may say, and what is said of one that cannot work."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from isthmus.exporter.delivery import Unsent
from isthmus.exporter.export import Exporter
from isthmus.exporter.setting import OtlpInvalid, read_otlp
from isthmus.identity import Authority
from isthmus.telemetry.otlp import process_resource


def write(folder: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    path = folder / "otlp.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str, **files: str) -> list[str]:
    with pytest.raises(OtlpInvalid, match=r"otlp\.yaml cannot be used") as raised:
        read_otlp(write(folder, text, **files))
    return raised.value.faults


def test_a_url_alone_sends_everything(tmp_path: Path) -> None:
    settings = read_otlp(write(tmp_path, "url: http://127.0.0.1:4318"))
    assert (settings.logs, settings.metrics, settings.headers()) == (True, 30_000, {})
    assert (settings.http.url, settings.http.protocol, settings.http.gzip) == ("http://127.0.0.1:4318", "HTTP", True)


def test_secrets_are_read_anew_from_files_beside_the_settings(tmp_path: Path) -> None:
    text = """
url: https://collector.example:4317/
protocol: GRPC
compression: NONE
headers:
- {name: x-team, value: shop}
- {name: x-key, file: key}
token: {file: token}
trustedAuthority: {file: ca.pem}
timeout: 2s
metricsInterval: 1m
"""
    trusted = Authority.create("logs.test", datetime.now(UTC)).bundle_pem.decode()
    path = write(tmp_path, text, key="k3y\n", token="t0ken", **{"ca.pem": trusted})
    settings = read_otlp(path)
    http = settings.http
    assert (http.url, http.protocol, http.gzip) == ("https://collector.example:4317", "GRPC", False)
    assert (http.headers, http.timeout, http.trusted_ca) == ((("x-team", "shop"),), 2_000, trusted)
    assert (settings.logs, settings.metrics) == (True, 60_000)
    assert settings.headers() == {"x-key": "k3y", "authorization": "Bearer t0ken"}
    assert "k3y" not in repr(settings)
    (tmp_path / "token").write_text("an0ther\n")
    assert settings.headers()["authorization"] == "Bearer an0ther"
    (tmp_path / "token").unlink()
    with pytest.raises(Unsent, match="token cannot be read: No such file"):
        settings.headers()


def test_headers_that_hold_no_secrets_or_do_not_leave_the_machine_need_no_tls(tmp_path: Path) -> None:
    for host, name in (("c.example", "x-team"), ("127.0.0.1", "authorization")):
        text = f"{{url: 'http://{host}', headers: [{{name: {name}, value: a}}]}}"
        assert read_otlp(write(tmp_path, text)).http.headers == ((name, "a"),)


async def test_a_file_of_secrets_that_others_may_read_is_told(tmp_path: Path) -> None:
    async def nothing() -> bytes:
        return b""

    text = "{url: 'http://127.0.0.1:1', token: {file: token}, headers: [{name: x-key, file: key}]}"
    settings = read_otlp(write(tmp_path, text, token="t0ken", key="k3y"))
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "token").chmod(0o640)
    exporter = Exporter(settings, process_resource("console", "one", "1.2.3"), nothing, None)
    with capture_logs() as told:
        exporter.start()
    await exporter.stop()
    found = [each["file"] for each in told if each["event"] == "otlp.secret_exposed"]
    assert found == [str(tmp_path / "token")]
    assert "t0ken" not in str(told)


def test_all_faults_are_told_at_once_with_field_and_mend_and_no_secret(tmp_path: Path) -> None:
    text = (
        "{url: 'http://collector.example', protcol: GRPC, token: s3cret, signals: [LOGS, TRACES], metricsInterval: 5}"
    )
    found = faults(tmp_path, text)
    assert "s3cret" not in str(found)
    assert sorted(found) == [
        "metricsInterval: 5 has no unit: write for example 5ms or 5s",
        "protcol: unknown field; did you mean protocol?",
        "signals[1]: must be 'LOGS' or 'METRICS'",
        "token: must be an object; write a mapping",
    ]
    found = faults(
        tmp_path,
        "{url: 'https://c.example', token: {file: t}, headers: [{name: x, file: k}], trustedAuthority: {file: ca}}",
        k="k3y\nx-other: 1",
        ca="none",
    )
    assert [each.partition(":")[0] for each in found] == ["headers[0].file", "token.file", "trustedAuthority.file"]
    assert "No such file" in found[1]
    assert "k3y" not in str(found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{url: 'http://c.example', token: {file: t}}", "url is http://, where secrets could be read on their way"),
        (
            "{url: 'http://c.example', headers: [{name: X-Api-Key, value: a}]}",
            "url is http://, where secrets could be read on their way",
        ),
        (
            "{url: 'http://c.example', headers: [{name: cookie, value: a}]}",
            "url is http://, where secrets could be read on their way",
        ),
        ("{url: 'http://127.0.0.1', trustedAuthority: {file: t}}", "trustedAuthority means nothing with http://"),
        ("{url: 'https://c.example/v2', protocol: GRPC}", "url has a path"),
        ("{url: 'https://c.example', signals: [LOGS, LOGS]}", "stands twice in signals"),
        ("{url: 'https://c.example', headers: [{name: x, value: a, file: t}]}", "exactly one of value and file"),
        ("{url: 'https://user:pass@c.example'}", "must hold no user or password"),
        ("[url]", "must hold one mapping"),
        ("url: [", "not valid YAML"),
        ("", "must hold one mapping"),
    ],
)
def test_what_cannot_work_is_said(tmp_path: Path, text: str, reason: str) -> None:
    [fault] = faults(tmp_path, text, t="t0ken")
    assert reason in fault
    assert "pass@" not in fault


def test_a_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(OtlpInvalid) as raised:
        read_otlp(tmp_path / "none.yaml")
    assert raised.value.faults == ["the file cannot be read: No such file or directory"]
