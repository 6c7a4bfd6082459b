"""Receivers of telemetry as this site serves them."""

from isthmus.compile.listener import compile_present
from isthmus.compile.memo import Memo
from isthmus.compile.source import find
from isthmus.compile.tracing import compile_chosen, compile_receiver_keys, find_authority, find_trusted
from isthmus.model import Diagnostic, ObjectKey, TelemetryReceiver
from isthmus.model.key import SHARED_NAMESPACE
from isthmus.model.reference import resolve
from isthmus.model.telemetry_receiver import HttpTarget, OtlpTarget, SyslogTarget
from isthmus.model.value import milliseconds
from isthmus.telemetry.setting import Choice, FileSettings, HttpSettings, Receiver, Settings, SyslogSettings

_FACILITIES = {"USER": 1, "DAEMON": 3, **{f"LOCAL{number}": 16 + number for number in range(8)}}


def compile_receivers(memo: Memo, _: None) -> tuple[Receiver, ...]:
    """Every receiver of this site, ordered by key. One that trusts an unknown authority is left out."""
    found = (memo.ask(_receiver, key) for key in memo.ask(compile_receiver_keys, None))
    return tuple(each for each in found if each is not None)


def compile_receiver_diagnostics(memo: Memo, _: None) -> tuple[Diagnostic, ...]:
    """Why receivers are left out."""
    found = []
    for key in memo.ask(compile_receiver_keys, None):
        obj = find(memo, TelemetryReceiver, key)
        for use in obj.uses() if obj else ():
            if use.target.kind == "TrustedAuthority" and find_authority(memo, use.target, key) is None:
                message = f"{use.target.title} does not exist; nothing is sent"
                found.append(
                    Diagnostic("dangling-reference", key, use.field, message, "create it, or correct the name")
                )
    return tuple(found)


def _receiver(memo: Memo, key: ObjectKey) -> Receiver | None:
    obj = find(memo, TelemetryReceiver, key)
    if obj is None:
        return None
    spec = obj.spec
    settings = _settings(memo, key, obj)
    if settings is None:
        return None
    return Receiver(
        key=key,
        settings=settings,
        choice=memo.ask(_choice, key),
        logs="LOGS" in spec.signals,
        traces="TRACES" in spec.signals,
        metrics=milliseconds(spec.otlp.metrics_interval) if spec.otlp and "METRICS" in spec.signals else 0,
        buffer=spec.buffer_mib << 20,
    )


def _choice(memo: Memo, key: ObjectKey) -> Choice:
    obj = find(memo, TelemetryReceiver, key)
    if obj is None:
        return Choice()
    logs = obj.spec.logs
    namespaces = logs.namespaces if key.namespace == SHARED_NAMESPACE else (key.namespace,)
    hosts = None
    if logs.virtual_hosts:
        chosen = (host for host in memo.ask(compile_present, None) if memo.ask(compile_chosen, (key, host)))
        hosts = tuple(host.path for host in chosen)
    return Choice(
        namespaces=tuple(sorted(set(namespaces))) or None,
        virtual_hosts=hosts,
        errors_only=logs.errors_only,
        share=logs.sampling / 100,
        per_second=logs.per_second,
        fabric=logs.fabric,
    )


def _settings(memo: Memo, key: ObjectKey, obj: TelemetryReceiver) -> Settings | None:
    spec = obj.spec
    if spec.syslog is not None:
        return _syslog(memo, key, spec.syslog)
    if spec.file is not None:
        return FileSettings(f"{key.namespace}/{spec.file.name}", spec.file.max_bytes, spec.file.keep)
    if spec.http is not None:
        return _http(memo, key, spec.http, spec.http.format)
    return _http(memo, key, spec.otlp, "OTLP") if spec.otlp is not None else None


def _syslog(memo: Memo, key: ObjectKey, target: SyslogTarget) -> SyslogSettings | None:
    trusted = find_trusted(memo, key, target.trusted_authority)
    if trusted is None:
        return None
    port = target.port or (6514 if target.transport == "TLS" else 514)
    facility = _FACILITIES[target.facility]
    return SyslogSettings(target.host, port, target.transport, trusted, facility, target.application)


def _http(memo: Memo, key: ObjectKey, target: HttpTarget | OtlpTarget, form: str) -> HttpSettings | None:
    trusted = find_trusted(memo, key, target.trusted_authority)
    if trusted is None:
        return None
    return HttpSettings(
        url=target.url.rstrip("/") if form == "OTLP" else target.url,
        form=form,
        gzip=target.compression == "GZIP",
        headers=tuple((each.name, each.value) for each in target.headers if each.value is not None),
        secret_headers=tuple(
            (each.name, resolve(each.secret, "Secret", key.tenant, key.namespace))
            for each in target.headers
            if each.secret is not None
        ),
        token=resolve(target.token, "Secret", key.tenant, key.namespace) if target.token is not None else None,
        trusted_ca=trusted,
        timeout=milliseconds(target.timeout),
        protocol=target.protocol if isinstance(target, OtlpTarget) else "HTTP",
    )
