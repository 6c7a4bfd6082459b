"""Faults on purpose."""

from envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault

from isthmus.compile.option import Fault
from isthmus.emit.envoy.match import emit_header_matcher
from isthmus.emit.envoy.wire import duration, percent


def emit_fault(fault: Fault) -> HTTPFault:
    """A fault's filter configuration."""
    return HTTPFault(
        delay=FaultDelay(fixed_delay=duration(fault.delay), percentage=percent(fault.delay_percent))
        if fault.delay
        else None,
        abort=FaultAbort(http_status=fault.abort, percentage=percent(fault.abort_percent)) if fault.abort else None,
        headers=[emit_header_matcher(header) for header in fault.headers],
        max_active_faults=None if fault.max_active is None else {"value": fault.max_active},
        disable_downstream_cluster_stats=True,
    )
