"""Tries after a failure."""

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.config.route.v3.route_components_pb2 import RetryPolicy as EnvoyRetryPolicy
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)

from isthmus.compile.rule import RateLimitedRetry, Retry, Shape, Share
from isthmus.emit.envoy import name
from isthmus.emit.envoy.wire import duration, pack

_PREVIOUS_HOSTS = EnvoyRetryPolicy.RetryHostPredicate(
    name="envoy.retry_host_predicates.previous_hosts", typed_config=pack(PreviousHostsPredicate())
)
_PREVIOUS_PRIORITIES = EnvoyRetryPolicy.RetryPriority(
    name="envoy.retry_priorities.previous_priorities", typed_config=pack(PreviousPrioritiesConfig(update_frequency=1))
)
_BACK_OFF = (25, 250)
"""Milliseconds that Envoy waits without being told, at first and at most. To say so in each of 10,000 virtual hosts
would be a twentieth of the time that Envoy takes for a change of one."""
_LOCAL_REPLY = HeaderMatcher(name=name.LOCAL_REPLY_HEADER, present_match=True)


def emit_retry(retry: Retry, shares: tuple[Share, ...]) -> EnvoyRetryPolicy:
    """Tries go to a host that was not tried yet, and where hosts have an order, to the next place in it; or anywhere.

    Answers that an egress site marked as its own reached no application, so they are always worth another try.
    """
    policy = EnvoyRetryPolicy(num_retries={"value": retry.attempts}, retriable_status_codes=retry.status_codes)
    if (retry.back_off, retry.max_back_off) != _BACK_OFF:
        policy.retry_back_off.base_interval.CopyFrom(duration(retry.back_off))
        policy.retry_back_off.max_interval.CopyFrom(duration(retry.max_back_off))
    conditions = [*retry.on, *(["retriable-status-codes"] if retry.status_codes else [])]
    if any(share.shape is not Shape.LOCAL for share in shares):
        conditions.append("retriable-headers")
        policy.retriable_headers.append(_LOCAL_REPLY)
    policy.retry_on = ",".join(conditions)
    if retry.elsewhere:
        policy.retry_host_predicate.append(_PREVIOUS_HOSTS)
        policy.host_selection_retry_max_attempts = 5
        if any(share.shape is Shape.FABRIC or (share.ordered and share.shape is not Shape.LOCAL) for share in shares):
            policy.retry_priority.CopyFrom(_PREVIOUS_PRIORITIES)
    if retry.per_try_timeout is not None:
        policy.per_try_timeout.CopyFrom(duration(retry.per_try_timeout))
    if retry.per_try_idle_timeout is not None:
        policy.per_try_idle_timeout.CopyFrom(duration(retry.per_try_idle_timeout))
    if retry.rate_limited is not None:
        policy.rate_limited_retry_back_off.CopyFrom(_obeying(retry.rate_limited))
    return policy


def _obeying(limited: RateLimitedRetry) -> EnvoyRetryPolicy.RateLimitedRetryBackOff:
    header = EnvoyRetryPolicy.ResetHeader(
        name=limited.header,
        format=EnvoyRetryPolicy.UNIX_TIMESTAMP if limited.timestamp else EnvoyRetryPolicy.SECONDS,
    )
    return EnvoyRetryPolicy.RateLimitedRetryBackOff(reset_headers=[header], max_interval=duration(limited.longest))
