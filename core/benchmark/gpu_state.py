"""The GPU's clock, temperature and what holds it back around a measurement, as nvidia-smi tells them of any runtime's GPU."""

from __future__ import annotations

from core.benchmark.gpu import ClockSample, held_back_by
from core.benchmark.machine import ask_driver

_ASKED = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw")
# Called so since driver 535, and so before.
_HELD = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")


def gpu_sample(moment: str) -> ClockSample | None:
    """The state of the GPU that this process uses; None where its driver does not tell."""
    for held in _HELD:
        told = [part.strip() for part in ask_driver(",".join((*_ASKED, held)), nounits=True).split(",")]
        if len(told) == len(_ASKED) + 1:
            clock, memory, temperature, power = (_number(text) for text in told[:-1])
            return ClockSample(
                moment=moment,
                sm_mhz=_whole(clock),
                memory_mhz=_whole(memory),
                temperature_c=_whole(temperature),
                power_w=power,
                throttled_by=held_back_by(_bits(told[-1])),
            )
    return None


def gpu_facts(before: ClockSample, after: ClockSample) -> dict[str, str]:
    """For the record of the machine: "1980 to 1755 MHz", "41 to 63 °C"; without what is not told."""
    facts = {
        "GPU clock": (before.sm_mhz, after.sm_mhz, "MHz"),
        "GPU temperature": (before.temperature_c, after.temperature_c, "°C"),
    }
    told = {name: f"{old} to {new} {unit}" for name, (old, new, unit) in facts.items() if None not in (old, new)}
    held = sorted({*before.throttled_by, *after.throttled_by})
    return {**told, **({"GPU held back by": ", ".join(held)} if held else {})}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _bits(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0
