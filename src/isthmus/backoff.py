"""When to try again: exponential with full jitter, so that all who share a server, or a registry, spread out."""

from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class Backoff:
    """Seconds. `first` bounds the first wait, `most` every wait."""

    random: Random
    first: float = 0.5
    most: float = 30.0
    failures: int = 0

    def next_wait(self, at_least: float = 0.0) -> float:
        """How long to wait after one more failure; a server that names a time is waited for, and jittered after."""
        bound = min(self.most, self.first * 2 ** min(self.failures, 16))
        self.failures += 1
        return at_least + self.random.uniform(0.1 * bound, bound)

    def reset(self) -> None:
        """It has worked."""
        self.failures = 0
