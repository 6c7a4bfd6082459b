"""/telemetry/gauges: what sites are like over time, beside what requests did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from isthmus.console.api.answer import Answer, ErrorAnswer
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.api.telemetry import Since, Until, ask_store, plan_range
from isthmus.console.error import RequestRefused
from isthmus.model.key import DEFAULT_TENANT
from isthmus.telemetry.gauge import GAUGES
from isthmus.telemetry.question import ask_gauges

router = APIRouter(prefix="/telemetry", tags=["telemetry"])
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (422, 503)}


class GaugePoint(Answer):
    """The values of one step. `at`: its beginning, seconds since 1970."""

    at: int
    mean: float
    least: float
    most: float
    total: float = Field(description="Sum of the samples: of counts since the sample before, how many in the step.")


class GaugeSeries(Answer):
    """One gauge of one site."""

    site: str
    label: str = Field(description="What it is told apart by: a cluster, a region, a process.")
    points: list[GaugePoint]


class GaugesAnswer(Answer):
    """A gauge over time. Sites tell each of their gauges once a minute, and of changes every ten seconds."""

    name: str
    description: str
    since: int
    until: int
    step: int
    series: list[GaugeSeries]
    more: int = Field(description="Series that were left out.")


@router.get("/gauges", responses=_ERRORS)
async def gauges(
    context: Context,
    caller: Caller,
    name: Annotated[str, Query(description=f"One of {', '.join(GAUGES)}.")],
    since: Since = "-15m",
    until: Until = "now",
    site: Annotated[list[str], Query(description="Of these sites alone. May be repeated.")] = [],  # noqa: B006
    label: Annotated[list[str], Query(description="With these labels alone. May be repeated.")] = [],  # noqa: B006
    step: Annotated[int | None, Query(ge=1, le=604_800, description="Seconds of a point.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Series at most.")] = 100,
) -> GaugesAnswer:
    """Connections, endpoints, processes, sessions, lags and certificates of sites as time series."""
    if name not in GAUGES:
        raise RequestRefused(422, "invalid", f"There is no gauge {name!r}; there are {', '.join(GAUGES)}.")
    where = {column: values for column, values in (("site", site), ("label", label)) if values}
    return (await read_gauges(context, [name], where, since, until, step, limit))[name]


async def read_gauges(
    context: ApiContext,
    names: Sequence[str],
    where: Mapping[str, Sequence[str]],
    since: str,
    until: str,
    step: int | None,
    limit: int,
    sums: Sequence[str] | None = None,
) -> dict[str, GaugesAnswer]:
    """Several gauges by name, of one question to the store. `where`: values of `site` and `label`; `sums`: as in
    `ask_gauges`. Raises RequestRefused."""
    window = plan_range(since, until, step)
    found: dict[str, dict[tuple[str, str], list[GaugePoint]]] = {name: {} for name in names}
    for row in await ask_store(context, ask_gauges(DEFAULT_TENANT, window, names, where, sums)):
        point = GaugePoint(at=row["t"], mean=row["mean"], least=row["least"], most=row["most"], total=row["total"])
        found[row["name"]].setdefault((row["site"], row["label"]), []).append(point)
    return {
        name: GaugesAnswer(
            name=name,
            description=GAUGES[name],
            since=window.since,
            until=window.until,
            step=window.step,
            series=[GaugeSeries(site=key[0], label=key[1], points=series[key]) for key in sorted(series)[:limit]],
            more=max(0, len(series) - limit),
        )
        for name, series in found.items()
    }
