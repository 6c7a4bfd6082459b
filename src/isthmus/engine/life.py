"""Which process a process id stands for: ids are given again, a start time within one boot is not."""

from __future__ import annotations

from pathlib import Path


def process_life(pid: int) -> str | None:
    """Name the life of process `pid`: boot id and start time in ticks. None if there is no such living process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"
