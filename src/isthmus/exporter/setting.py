"""What `--otlp FILE` says: where a process sends its own metrics and log, in the words of a TelemetryReceiver's `otlp`.

Where that refers to objects, this names files, since it belongs to whoever runs the process, not to whoever declares
objects. Paths count from the settings' own folder.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from isthmus.discovery.error import SettingError
from isthmus.discovery.tls import make_context
from isthmus.exporter.delivery import Unsent, header_text
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.document import decode_yaml, parse_part
from isthmus.model.object import Frozen
from isthmus.model.telemetry_receiver import Url, check_headers, check_metadata
from isthmus.model.value import HeaderName, HeaderValue, PositiveDuration, milliseconds
from isthmus.telemetry.setting import HttpSettings

_SECRET_NAMES = frozenset(("authorization", "proxy-authorization", "x-api-key", "api-key", "x-auth-token", "cookie"))
"""Headers whose values are secrets, wherever they stand."""


class FileReference(Frozen):
    """A file beside the settings."""

    file: str = Field(min_length=1, max_length=4096, description="Path; from the settings' folder if it is relative.")


class HeaderFrom(Frozen):
    """A header of every request."""

    name: HeaderName
    value: HeaderValue | None = Field(None, description="The value, where it is no secret.")
    file: str | None = Field(
        None, min_length=1, max_length=4096, description="File that holds the value; read anew for every request."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.file is None):
            raise ValueError("set exactly one of value and file")
        return self


class OtlpExport(Frozen):
    """A collector, or anything else that takes OTLP over HTTP (protobuf) or gRPC, and what it is sent."""

    url: Url = Field(
        description="Address of the receiver without `/v1/…`, for example `https://collector.internal:4318`. By gRPC "
        "it has no path, and its port is 4317 when left out; by HTTP that of the scheme."
    )
    protocol: Literal["HTTP", "GRPC"] = Field("HTTP", description="OTLP/HTTP or OTLP/gRPC.")
    signals: tuple[Literal["LOGS", "METRICS"], ...] = Field(
        ("LOGS", "METRICS"), min_length=1, max_length=2, description="What is sent."
    )
    compression: Literal["GZIP", "NONE"] = Field("GZIP", description="Encoding of bodies.")
    headers: tuple[HeaderFrom, ...] = Field((), max_length=16, description="Headers of every request.")
    token: FileReference | None = Field(
        None, description="File that holds a bearer token (RFC 6750); read anew for every request."
    )
    trusted_authority: FileReference | None = Field(
        None, description="PEM file of the authority of the receiver's certificate; the system's when left out."
    )
    timeout: PositiveDuration = Field("10s", description="For one request.")
    metrics_interval: PositiveDuration = Field("30s", description="Time between two reports of metrics.")

    @model_validator(mode="after")
    def _works(self) -> Self:
        if len(set(self.signals)) != len(self.signals):
            raise ValueError("the same signal stands twice in signals")
        names = [header.name for header in self.headers]
        check_headers(
            self.url,
            [*names, "authorization"] if self.token is not None else names,
            secret=self.token is not None
            or any(each.file is not None or each.name.lower() in _SECRET_NAMES for each in self.headers),
            trusting=self.trusted_authority is not None,
        )
        if self.protocol == "GRPC":
            check_metadata(self.url, names)
        return self


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """Settings that have been looked at.

    Attributes:
        http: where and how; without the headers that hold secrets.
        secrets: header, what stands before its value, and the file that holds the value.
        metrics: milliseconds between reports; 0: none.
    """

    http: HttpSettings
    secrets: tuple[tuple[str, str, Path], ...] = ()
    logs: bool = True
    metrics: int = 30_000

    def headers(self) -> dict[str, str]:
        """Those that hold secrets, as their files are now. Raises Unsent."""
        return {name: before + read_secret(path) for name, before, path in self.secrets}

    def exposed(self) -> list[Path]:
        """Files of secrets that others than their owner may read or write."""
        found = []
        for path in dict.fromkeys(path for _, _, path in self.secrets):
            with contextlib.suppress(OSError):  # told when it is read
                if path.stat().st_mode & 0o077:
                    found.append(path)
        return found


class OtlpInvalid(Exception):
    """Settings that cannot work. `faults`: each with field and mend."""

    def __init__(self, source: Path, faults: list[str]) -> None:
        super().__init__(f"The settings in {source} cannot be used.")
        self.faults = faults


def read_otlp(path: Path) -> OtlpSettings:
    """Read settings, and look at every file that they name. Raises OtlpInvalid."""
    try:
        decoded = decode_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise OtlpInvalid(path, ["the file is not UTF-8 text"]) from None
    except OSError as error:
        raise OtlpInvalid(path, [f"the file cannot be read: {error.strerror}"]) from None
    if isinstance(decoded, Diagnostic):
        raise OtlpInvalid(path, [decoded.message])
    if len(decoded) != 1 or not isinstance(decoded[0], dict):
        raise OtlpInvalid(path, ["the file must hold one mapping, with url and what else is wanted"])
    parsed = parse_part(OtlpExport, decoded[0])
    if not isinstance(parsed, OtlpExport):
        raise OtlpInvalid(path, [_line(each) for each in parsed])
    faults: list[str] = []
    settings = _settings(parsed, path.absolute().parent, faults)
    if faults:
        raise OtlpInvalid(path, faults)
    return settings


def read_secret(path: Path) -> str:
    """What a file holds for a header, without the space around it. Raises Unsent."""
    try:
        value = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        value = "\0"
    except OSError as error:
        raise Unsent(f"{path} cannot be read: {error.strerror}") from None
    if not value.strip():
        raise Unsent(f"{path} is empty")
    return header_text(value, str(path))


def _settings(given: OtlpExport, folder: Path, faults: list[str]) -> OtlpSettings:
    secrets = []
    for field, name, before, file in _secrets(given):
        secrets.append((name, before, folder / file))
        try:
            read_secret(folder / file)
        except Unsent as error:
            faults.append(f"{field}: {error}; write the secret into that file, or name another")
    trusted = ""
    if given.trusted_authority is not None:
        try:
            trusted = (folder / given.trusted_authority.file).read_text(encoding="ascii")
            make_context(trusted.encode())
        except (UnicodeDecodeError, SettingError):
            faults.append(f"trustedAuthority.file: {folder / given.trusted_authority.file} is no certificate in PEM")
        except OSError as error:
            text = f"{folder / given.trusted_authority.file} cannot be read: {error.strerror}"
            faults.append(f"trustedAuthority.file: {text}; name a file of certificates in PEM")
    http = HttpSettings(
        url=given.url.rstrip("/"),
        form="OTLP",
        gzip=given.compression == "GZIP",
        headers=tuple((each.name, each.value) for each in given.headers if each.value is not None),
        trusted_ca=trusted,
        timeout=milliseconds(given.timeout),
        protocol=given.protocol,
    )
    metrics = milliseconds(given.metrics_interval) if "METRICS" in given.signals else 0
    return OtlpSettings(http, tuple(secrets), "LOGS" in given.signals, metrics)


def _secrets(given: OtlpExport) -> Iterator[tuple[str, str, str, str]]:
    """Field, header, what stands before the value, file."""
    for index, header in enumerate(given.headers):
        if header.file is not None:
            yield f"headers[{index}].file", header.name, "", header.file
    if given.token is not None:
        yield "token.file", "authorization", "Bearer ", given.token.file


def _line(fault: Diagnostic) -> str:
    field = f"{fault.field}: " if fault.field else ""
    return f"{field}{fault.message}{f'; {fault.mend}' if fault.mend else ''}"
