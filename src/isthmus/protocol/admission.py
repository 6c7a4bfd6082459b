"""How many new streams a server takes per second, so that a restart is not followed by a stampede."""

from dataclasses import dataclass


@dataclass(slots=True)
class Admission:
    """A token bucket: `per_second` new streams, `burst` at once, never more than `streams` in all. Time in seconds."""

    per_second: float = 500.0
    burst: float = 500.0
    streams: int = 20_000
    _tokens: float = -1.0
    _at: float = 0.0

    def admit(self, open_streams: int, now: float) -> float:
        """0 to take a stream; otherwise how many seconds the peer is to stay away."""
        if open_streams >= self.streams:
            return 10.0
        if self._tokens < 0:
            self._tokens, self._at = self.burst, now
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.per_second
        self._tokens -= 1
        return 0.0
