"""The machine a latency was taken on, and what disturbed it meanwhile."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.benchmark import weakness

# Shares of our cores' time. Less is a machine's ordinary murmur.
OTHER_LOAD_SHARE = 0.10
STEAL_SHARE = 0.02
FREQUENCY_DROP = 0.10

_CPUS = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def usable_cpus() -> tuple[int, ...]:
    """Numbers of the processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _cgroup_folders() -> list[Path]:
    """Folders that may hold this process's cgroup limits: its own and those above, v2 and v1."""
    folders = []
    for line in (_read(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        root = _CGROUPS / controllers if controllers else _CGROUPS
        here = root / path.lstrip("/")
        folders += [folder for folder in (here, *here.parents) if folder.is_relative_to(root)]
    return folders


def cpu_quota() -> float | None:
    """Cores' worth of time that the tightest cgroup (container) allows; None without a limit."""
    quotas = []
    for folder in _cgroup_folders():
        quota, _, period = (_read(folder / "cpu.max") or "").partition(" ")
        if not quota:
            quota, period = _read(folder / "cpu.cfs_quota_us") or "", _read(folder / "cpu.cfs_period_us") or ""
        if quota.isdigit() and period.isdigit():
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def memory_limit() -> int:
    """Bytes that this process may use: the machine's, or the tightest cgroup's."""
    texts = [_read(folder / name) for folder in _cgroup_folders() for name in ("memory.max", "memory.limit_in_bytes")]
    return min([int(psutil.virtual_memory().total), *(int(text) for text in texts if text and text.isdigit())])


def processor() -> str:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def gpu_name(which: str | None = None) -> str:
    """An NVIDIA GPU as its driver calls it.

    Args:
        which: Its number in PCI order, or its UUID; by default the first that CUDA may use in this process.
    """
    return ask_driver("name", which) or "unknown GPU"


def compute_capability(which: str | None = None) -> str | None:
    """An NVIDIA GPU's compute capability ("8.9"); None where its driver does not tell: old ones do not.

    Args:
        which: As `gpu_name` takes it.
    """
    told = ask_driver("compute_cap", which)
    return told if re.fullmatch(r"\d+\.\d", told) else None


def ask_driver(what: str, which: str | None = None, *, nounits: bool = False) -> str:
    """One of `nvidia-smi --help-query-gpu`'s properties, or several with commas between them; empty where it does not tell.

    Args:
        which: As `gpu_name` takes it.
        nounits: Numbers alone.
    """
    which = which or os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0] or "0"
    command = ["nvidia-smi", "-i", which, f"--query-gpu={what}", f"--format=csv,noheader{',nounits' if nounits else ''}"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _is_virtual() -> bool:
    return any(line.startswith("flags") and " hypervisor" in line for line in (_read(Path("/proc/cpuinfo")) or "").splitlines())


def describe_machine() -> dict[str, str]:
    """What a reader needs to judge a latency by: processor, cores, memory, load; and what else the system tells."""
    quota = cpu_quota()
    facts = {
        "processor": processor(),
        "cores": f"{len(usable_cpus())} of {os.cpu_count()}" + (f", limited to {quota:g}" if quota else ""),
        "memory": f"{memory_limit() / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if hasattr(os, "getloadavg"):
        facts["load average"] = f"{os.getloadavg()[0]:.2f}"
    if governor := _read(_CPUS / f"cpu{usable_cpus()[0]}/cpufreq/scaling_governor"):
        facts["governor"] = governor
    if _is_virtual():
        facts["virtual machine"] = "yes"
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Running counts at one moment; two of them tell what happened in between.

    Attributes:
        busy_seconds: Of our processors, everyone's work together; None where the system does not tell.
        steal_seconds: That the hypervisor gave to others.
        own_seconds: Processor time of this process.
        throttled: Times that the processor was slowed for its heat, or the container for its quota.
        frequency_mhz: Mean over our processors.
    """

    wall_seconds: float
    own_seconds: float
    busy_seconds: float | None
    steal_seconds: float | None
    throttled: int
    frequency_mhz: float | None


def _cpu_times(cpus: tuple[int, ...]) -> tuple[float | None, float | None]:
    """Busy and stolen seconds of these processors, from proc_stat(5)."""
    busy = steal = 0.0
    found = False
    names = {f"cpu{cpu}" for cpu in cpus}
    for line in (_read(Path("/proc/stat")) or "").splitlines():
        name, *fields = line.split()
        if name in names and len(fields) >= 8:
            user, nice, system, _idle, _iowait, irq, softirq, stolen = (int(field) for field in fields[:8])
            busy += user + nice + system + irq + softirq
            steal += stolen
            found = True
    tick = os.sysconf("SC_CLK_TCK") if found else 1
    return (busy / tick, steal / tick) if found else (None, None)


def _throttled(cpus: tuple[int, ...]) -> int:
    heat = (_read(_CPUS / f"cpu{cpu}/thermal_throttle/core_throttle_count") for cpu in cpus)
    quota = (
        int(line.split()[1])
        for folder in _cgroup_folders()
        for line in (_read(folder / "cpu.stat") or "").splitlines()
        if line.startswith("nr_throttled ")
    )
    return sum(int(text) for text in heat if text and text.isdigit()) + max(quota, default=0)


def _frequency(cpus: tuple[int, ...]) -> float | None:
    texts = [_read(_CPUS / f"cpu{cpu}/cpufreq/scaling_cur_freq") for cpu in cpus]
    values = [int(text) / 1000 for text in texts if text and text.isdigit()]
    return sum(values) / len(values) if values else None


def counters() -> Counters:
    cpus = usable_cpus()
    busy, steal = _cpu_times(cpus)
    return Counters(
        wall_seconds=time.monotonic(),
        own_seconds=time.process_time(),
        busy_seconds=busy,
        steal_seconds=steal,
        throttled=_throttled(cpus),
        frequency_mhz=_frequency(cpus),
    )


def disturbances(before: Counters, after: Counters, cores: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """What disturbed the time between two counts: facts for the record, and sentences where it was too much.

    Args:
        cores: How many processors the counts are of.
    """
    facts: dict[str, str] = {}
    warnings: list[str] = []
    available = max(after.wall_seconds - before.wall_seconds, 1e-9) * cores
    if before.busy_seconds is not None and after.busy_seconds is not None:
        own = after.own_seconds - before.own_seconds
        other = max(after.busy_seconds - before.busy_seconds - own, 0.0) / available
        facts["other load"] = f"{other:.0%} of the cores"
        if other > OTHER_LOAD_SHARE:
            warnings.append(f"{weakness.OTHERS}{other:.0%} of the cores while measuring: measure again on a quiet machine.")
    if before.steal_seconds is not None and after.steal_seconds is not None:
        steal = (after.steal_seconds - before.steal_seconds) / available
        facts["steal"] = f"{steal:.1%} of the cores"
        if steal > STEAL_SHARE:
            warnings.append(f"{weakness.STOLEN}{steal:.1%} of the cores' time away while measuring.")
    if (times := after.throttled - before.throttled) > 0:
        facts["throttled"] = f"{times} times"
        warnings.append(f"{weakness.THROTTLED}{times} times while measuring, by its heat or by the container's limit.")
    if before.frequency_mhz and after.frequency_mhz:
        facts["frequency"] = f"{before.frequency_mhz:.0f} to {after.frequency_mhz:.0f} MHz"
        if after.frequency_mhz < before.frequency_mhz * (1 - FREQUENCY_DROP):
            warnings.append(f"{weakness.CLOCK_FELL}{before.frequency_mhz:.0f} to {after.frequency_mhz:.0f} MHz while measuring.")
    return facts, tuple(warnings)
