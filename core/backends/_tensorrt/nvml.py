"""The GPU's clocks, temperature and what holds it back, from NVML; nothing where it is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from core.benchmark.gpu import ClockSample, held_back_by


class Clocks:
    """Takes samples of one GPU."""

    def __init__(self, nvml: Any, device: Any) -> None:
        self._nvml = nvml
        self._device = device
        self.samples: list[ClockSample] = []

    def sample(self, moment: str) -> None:
        nvml, device = self._nvml, self._device
        if device is None:
            return
        held = _ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device))  # first: it passes with the load
        milliwatts = _ask(lambda: nvml.nvmlDeviceGetPowerUsage(device))
        self.samples.append(
            ClockSample(
                moment=moment,
                sm_mhz=_ask(lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM)),
                memory_mhz=_ask(lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_MEM)),
                temperature_c=_ask(lambda: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)),
                power_w=None if milliwatts is None else milliwatts / 1000,
                throttled_by=held_back_by(held or 0),
            )
        )


@contextmanager
def clocks(bus_id: str) -> Iterator[Clocks]:
    """Samples of the GPU at a PCI address; none where NVML does not work."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # not installed, or no library beside it: figures are then without clocks
        yield Clocks(None, None)
        return
    try:
        yield Clocks(pynvml, _ask(lambda: pynvml.nvmlDeviceGetHandleByPciBusId(bus_id.encode())))
    finally:
        _ask(pynvml.nvmlShutdown)


def _ask(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Exception:  # NVML refuses what a GPU or a container does not have
        return None
