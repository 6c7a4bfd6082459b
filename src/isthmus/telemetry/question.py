"""Questions to the store, as SQL with parameters. Names of columns come from lists here, values never enter the SQL."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.telemetry.batch import SCHEMAS
from isthmus.telemetry.store import Parameter
from isthmus.telemetry.window import Window

DIMENSIONS = (
    "namespace", "virtual_host", "route", "cluster", "subset", "endpoint", "site", "peer", "client", "code", "error",
)  # fmt: skip
"""What signals can be told apart and filtered by."""
_LATENCY_DIMENSIONS = tuple(name for name in DIMENSIONS if name not in ("code", "error"))
_CONDITION = re.compile(r"([a-z_]+)(!=|>=|<=|=|~|>|<)(.*)", re.DOTALL)
_NUMBERS = {"code": 1, "received": 1, "sent": 1, "attempts": 1, "total": 1000, "own": 1000, "upstream": 1000,
            "credential": 1, "weight": 1}  # fmt: skip
"""Fields of a record that are numbers, and by what a given value is multiplied: milliseconds are given."""
RECORD_FIELDS = (*SCHEMAS["record"], "site")


class QuestionInvalid(ValueError):
    """A field or condition that there is none of; the message says why."""


@dataclass(frozen=True, slots=True)
class Question:
    """SQL and its parameters."""

    sql: str
    parameters: Mapping[str, Parameter]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which signals, and told apart by what.

    Attributes:
        tenant: whose.
        window: when.
        by: names of DIMENSIONS.
        where: values of DIMENSIONS, any of which will do.
        series: one row per step, or one for the window.
    """

    tenant: str
    window: Window
    by: tuple[str, ...] = ()
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    series: bool = False

    def __post_init__(self) -> None:
        for name in (*self.by, *self.where):
            if name not in DIMENSIONS:
                raise QuestionInvalid(f"Signals have no {name}; they have {', '.join(DIMENSIONS)}.")


def ask_signals(selection: Selection) -> Question:
    """Rows: t (of a series), the dimensions, code, error, and sums."""
    by = [name for name in selection.by if name not in ("code", "error")]
    sums = ("requests", "retries", "received", "sent", "total_sum", "own_sum", "upstream_sum")
    columns = [*_step(selection), *by, "code", "error"]
    where, parameters = _where(selection, DIMENSIONS)
    return Question(_select(columns, sums, f"signal{selection.window.suffix}", where), parameters)


def ask_latencies(selection: Selection) -> Question:
    """Rows: t, the dimensions, whether the endpoint was at the same site (`local`), part, bucket, requests."""
    by = [name for name in selection.by if name in _LATENCY_DIMENSIONS]
    columns = [*_step(selection), *by, "(site = peer) AS local", "part", "bucket"]
    where, parameters = _where(selection, _LATENCY_DIMENSIONS)
    return Question(_select(columns, ("requests",), f"latency{selection.window.suffix}", where), parameters)


def ask_remote(selection: Selection) -> Question:
    """Where the requests of each group went through the fabric: t, the dimensions, and `to_cluster`, `from_site`,
    `to_site`, requests."""
    by = [name for name in selection.by if name in _LATENCY_DIMENSIONS]
    columns = [*_step(selection), *by, "cluster AS to_cluster", "site AS from_site", "peer AS to_site"]
    where, parameters = _where(selection, DIMENSIONS)
    where = [*where, "peer != ''", "peer != site"]
    return Question(_select(columns, ("requests",), f"signal{selection.window.suffix}", where), parameters)


def ask_egress(selection: Selection) -> Question:
    """What egress sites measured of requests through the fabric: t, `to_cluster`, `from_site`, `to_site`, part,
    bucket, requests."""
    columns = [
        *_step(selection),
        *("cluster AS to_cluster", "peer AS from_site", "site AS to_site", "part", "bucket"),
    ]
    where, parameters = _times(selection.tenant, selection.window)
    where = [*where, "log = 'egress'", "peer != site"]
    if "cluster" in selection.where:
        where.append("cluster IN {clusters:Array(String)}")
        parameters["clusters"] = list(selection.where["cluster"])
    return Question(_select(columns, ("requests",), f"latency{selection.window.suffix}", where), parameters)


def ask_records(
    tenant: str, since: float, until: float, conditions: Sequence[str], limit: int, *, oldest_first: bool = False
) -> Question:
    """Whole records, newest first. `conditions` are texts such as `path~/cart`, `code>=500`, `total>250`
    (milliseconds), `route=shop/home`; all must hold. `~` looks for a part of the text. Raises QuestionInvalid."""
    where = ["tenant = {tenant:String}", "time >= fromUnixTimestamp64Micro({since:Int64})"]
    where.append("time < fromUnixTimestamp64Micro({until:Int64})")
    parameters: dict[str, Parameter] = {
        "tenant": tenant, "since": int(since * 1e6), "until": int(until * 1e6), "limit": limit,
    }  # fmt: skip
    for index, text in enumerate(conditions):
        condition, value = _condition(text, f"c{index}")
        where.append(condition)
        parameters[f"c{index}"] = value
    columns = ", ".join(name if name != "time" else "toUnixTimestamp64Micro(time) AS at" for name in RECORD_FIELDS)
    order = "ASC" if oldest_first else "DESC"
    return Question(
        f"SELECT {columns} FROM record WHERE {' AND '.join(where)} ORDER BY record.time {order} LIMIT {{limit:UInt32}}",  # noqa: S608
        parameters,
    )


def ask_gauges(
    tenant: str,
    window: Window,
    names: Sequence[str],
    where: Mapping[str, Sequence[str]],
    sums: Sequence[str] | None = None,
) -> Question:
    """Rows: t, name, site, label, and of the values in each step `mean`, `least`, `most` and `total`. `where`: values
    of `site` and `label`, any of which will do.

    With `sums` all sites are one, named by nothing, and so are all labels of these gauges: of each step `mean`, `least`
    and `total` are sums then, and `most` is the greatest. So there are few rows, however many sites and labels.
    """
    conditions, parameters = _times(tenant, window)
    conditions.append("name IN {names:Array(String)}")
    parameters["names"] = list(names)
    for column in ("site", "label"):
        if column in where:
            conditions.append(f"{column} IN {{{column}s:Array(String)}}")
            parameters[f"{column}s"] = list(where[column])
    values = "avg(value) AS mean, min(value) AS least, max(value) AS most, sum(value) AS total"
    step = f"intDiv(toUInt32(time), {window.step}) * {window.step} AS t"
    each = (
        f"SELECT {step}, name, site, label, {values} FROM gauge WHERE {' AND '.join(conditions)} "  # noqa: S608
        "GROUP BY t, name, site, label"
    )
    if sums is None:
        return Question(f"{each} ORDER BY t, name, site, label", parameters)
    parameters["sums"] = list(sums)
    return Question(
        "SELECT each.t AS t, each.name AS name, '' AS site, if(has({sums:Array(String)}, each.name), '', each.label) "  # noqa: S608
        "AS label, sum(each.mean) AS mean, sum(each.least) AS least, max(each.most) AS most, sum(each.total) AS total "
        f"FROM ({each}) AS each GROUP BY t, name, label ORDER BY t, name, label",
        parameters,
    )


def ask_losses(tenant: str, since: float, until: float) -> Question:
    """Requests of which nothing is told: role, site, reason, requests."""
    where = ["tenant = {tenant:String}", "time >= {since:UInt32}", "time < {until:UInt32}"]
    return Question(
        _select(["role", "site", "reason"], ("requests",), "loss", where),
        {"tenant": tenant, "since": int(since), "until": int(until)},
    )


def _condition(text: str, name: str) -> tuple[str, Parameter]:
    match = _CONDITION.fullmatch(text)
    if match is None or match[1] not in RECORD_FIELDS or match[1] == "time":
        fields = ", ".join(each for each in RECORD_FIELDS if each != "time")
        raise QuestionInvalid(f"{text!r} is no condition: write FIELD=VALUE with one of {fields}.")
    column, operator, given = match.groups()
    if column in _NUMBERS:
        try:
            number = float(given) * _NUMBERS[column]
        except ValueError:
            raise QuestionInvalid(f"{column} is a number; {given!r} is none.") from None
        if operator == "~":
            raise QuestionInvalid(f"{column} is a number: compare it with =, !=, <, <=, > or >=.")
        return f"{column} {operator} {{{name}:Float64}}", number
    if operator in ("=", "!="):
        return f"{column} {operator} {{{name}:String}}", given
    if operator == "~":
        return f"positionCaseInsensitiveUTF8({column}, {{{name}:String}}) > 0", given
    raise QuestionInvalid(f"{column} is a text: compare it with =, != or ~.")


def _step(selection: Selection) -> list[str]:
    if not selection.series:
        return []
    step = selection.window.step
    return [f"intDiv(toUInt32(time), {step}) * {step} AS t"]


def _times(tenant: str, window: Window) -> tuple[list[str], dict[str, Parameter]]:
    where = ["tenant = {tenant:String}", "time >= {since:UInt32}", "time < {until:UInt32}"]
    return where, {"tenant": tenant, "since": window.since, "until": window.until}


def _where(selection: Selection, allowed: Sequence[str]) -> tuple[list[str], dict[str, Parameter]]:
    """Requests count where clients come in, endpoints where the requests reach them."""
    where, parameters = _times(selection.tenant, selection.window)
    if "endpoint" in selection.by or "endpoint" in selection.where:
        where.append("endpoint != ''")
    else:
        where.append("log = 'ingress'")
    for name, values in selection.where.items():
        if name not in allowed:
            continue
        if name == "code":
            where.append("code IN {w_code:Array(UInt16)}")
            parameters["w_code"] = [_code(value) for value in values]
        else:
            where.append(f"{name} IN {{w_{name}:Array(String)}}")
            parameters[f"w_{name}"] = list(values)
    return where, parameters


def _code(text: str) -> int:
    if not text.isdigit() or int(text) > 999:
        raise QuestionInvalid(f"{text!r} is no status code.")
    return int(text)


def _select(columns: Sequence[str], sums: Sequence[str], table: str, where: Sequence[str]) -> str:
    names = [column.rpartition(" AS ")[2] for column in columns]
    selected = ", ".join([*columns, *(f"sum({table}.{name}) AS {name}" for name in sums)])
    group = f" GROUP BY {', '.join(names)}" if names else ""
    return f"SELECT {selected} FROM {table} WHERE {' AND '.join(where)}{group}"  # noqa: S608 - our own names
