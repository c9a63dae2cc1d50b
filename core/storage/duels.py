"""Head-to-heads as stored: which engines, where, and what each start found.

    duels/<key>/record.json, log.txt

A head-to-head that was cut off goes on after its last whole start, on the same device.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.base.errors import Failure, StoreFailed
from core.base.serialization import content_key, read_json, to_data, write_json
from core.benchmark.duel import DuelProtocol, Start, is_settled, ratio_between
from core.benchmark.sequential import FEWEST
from core.benchmark.statistics import MedianRatio
from core.storage.builds import Place, StageName, StageRecord, State
from core.storage.workspace import Workspace

DUEL_FILE = "record.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One engine of a head-to-head.

    Attributes:
        key: Of its build.
        made_at: `Build.created_at`; one that is made anew has another, and what was found is of the one before.
        title: For people.
        measured_ms: The median of its own measurement, on the host `measured_on`; None without one.
    """

    key: str
    made_at: float
    title: str
    measured_ms: float | None = None
    measured_on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """A head-to-head as stored.

    Attributes:
        model: Digest of the model that all are engines of.
        device: Type of the device that they run on.
        place: Where its starts were; None before the first.
        state: DONE when it was settled, or went on for as long as it might.
        stage: How it went, as a job tells it.
    """

    key: str
    model: str
    device: str
    contestants: tuple[Contestant, ...]
    protocol: DuelProtocol = field(default_factory=DuelProtocol)
    state: State = State.WAITING
    starts: tuple[Start, ...] = ()
    place: Place | None = None
    stage: StageRecord = field(default_factory=lambda: StageRecord(stage=StageName.DUEL))
    created_at: float = 0.0
    finished_at: float | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the builds."""
        return tuple(one.key for one in self.contestants)

    @property
    def stages(self) -> tuple[StageRecord, ...]:
        return (self.stage,)

    @property
    def error(self) -> Failure | None:
        return self.stage.error

    @property
    def settled(self) -> bool:
        """Whether each pair's interval is narrow enough; one that is done and is not has used up its time."""
        return is_settled(self.starts, self.keys)

    @property
    def telling(self) -> bool:
        """Whether it has starts enough to tell something."""
        return len(self.starts) >= FEWEST

    def ratio(self, a: str, b: str) -> MedianRatio | None:
        """How many times faster build A's engine is than B's; None where it does not tell."""
        return ratio_between(self.starts, a, b) if {a, b} <= set(self.keys) else None


def duel_key(contestants: Iterable[Contestant], protocol: DuelProtocol) -> str:
    """Equal for the same engines under the same protocol, in whatever order they are named."""
    return content_key({"duel": sorted([one.key, one.made_at] for one in contestants), "protocol": to_data(protocol)})


def duel_folder(workspace: Workspace, key: str) -> Path:
    return workspace.root / "duels" / key


def stored_duel(workspace: Workspace, key: str) -> Duel | None:
    """None where there is none, or one of another release."""
    try:
        return read_json(Duel, duel_folder(workspace, key) / DUEL_FILE)
    except StoreFailed:
        return None


def store_duel(workspace: Workspace, duel: Duel) -> Duel:
    folder = duel_folder(workspace, duel.key)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / DUEL_FILE, duel)
    return duel


def all_duels(workspace: Workspace) -> list[Duel]:
    """Every stored head-to-head that can be read, the newest first."""
    found = (stored_duel(workspace, path.parent.name) for path in (workspace.root / "duels").glob(f"*/{DUEL_FILE}"))
    return sorted((duel for duel in found if duel), key=lambda duel: duel.created_at, reverse=True)


def without_starts(duel: Duel) -> Duel:
    """Its head alone, for those who only follow it."""
    return replace(duel, starts=())
