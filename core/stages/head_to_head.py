"""Holds engines of one model head to head, on the device that this process holds. See docs/decisions/0043."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from core.base.children.call import Fetch
from core.base.errors import Cancelled, EngineRoomError, Failure, InvalidRequest, NotFound
from core.base.progress import Progress, Report, silent
from core.base.serialization import read_json
from core.benchmark import machine
from core.benchmark.duel import Block, Start, all_ratios, is_settled
from core.benchmark.gpu import clock_warnings
from core.benchmark.gpu_state import gpu_facts, gpu_sample
from core.benchmark.sequential import FEWEST, LOOKS
from core.stages.child import Interrupted
from core.stages.duel import Ready, Seated
from core.stages.seats import Seat
from core.storage.builds import BUILD_FILE, Build, Place, StageName, StageRecord, State
from core.storage.duels import Contestant, Duel, store_duel, stored_duel
from core.storage.workspace import Workspace

OnDuel = Callable[[Duel, Progress | None], None]


# Runs the stage of one engine, by its build's key, to its end, as `core.stages.child.run_stage` does.
TurnRunner = Callable[[str, Path, Report, Fetch], None]


def run_duel(
    workspace: Workspace, duel: Duel, place: Place, *, on_change: OnDuel, runner: TurnRunner, cuda: bool = False
) -> Duel:
    """Goes on with a head-to-head until it is settled or its time is over; a failure is told in it, not raised.

    Whole starts of an earlier attempt on this place are kept.

    Args:
        place: Where this is.
        on_change: Called after each start, and with the progress.
        cuda: Whether the engines run on the GPU that this process sees first.

    Raises:
        Interrupted: This worker was cut off.
    """
    before = stored_duel(workspace, duel.key)
    if before and before.state is State.DONE:
        return before
    kept = before.starts if before and before.place == place else ()
    began = time.time()
    record = StageRecord(stage=StageName.DUEL, state=State.RUNNING, started_at=began)
    duel = store_duel(workspace, replace(duel, state=State.RUNNING, starts=kept, place=place, stage=record))
    on_change(duel, None)
    state, error = State.DONE, None
    try:
        while not _is_over(duel, time.time() - began):
            start = _start(workspace, duel, partial(_tell, on_change, duel), runner, cuda)
            duel = store_duel(workspace, replace(duel, starts=(*duel.starts, start)))
            on_change(duel, Progress(message=progress_text(duel), fraction=_share(duel, time.time() - began)))
    except (KeyboardInterrupt, Cancelled):
        state = State.CANCELLED
    except EngineRoomError as failure:
        state, error = State.FAILED, Failure.of(failure)
    ended = replace(record, state=state, error=error, seconds=round(time.time() - began, 3))
    duel = store_duel(workspace, replace(duel, state=state, stage=ended, finished_at=time.time()))
    on_change(duel, None)
    return duel


def _is_over(duel: Duel, seconds: float) -> bool:
    """Looks are where the rule has them; time ends it between two of them."""
    taken = len(duel.starts)
    if taken >= duel.protocol.starts or (taken >= FEWEST and seconds >= duel.protocol.max_seconds):
        return True
    return taken in LOOKS and is_settled(duel.starts, duel.keys)


def _share(duel: Duel, seconds: float) -> float:
    return min(0.99, max(len(duel.starts) / duel.protocol.starts, seconds / duel.protocol.max_seconds))


def progress_text(duel: Duel) -> str:
    """How far it is: "after 5 of at most 20 starts the widest interval is 1.8 % to either side"."""
    taken = f"after {len(duel.starts)} of at most {duel.protocol.starts} starts"
    ratios = [ratio for ratio in all_ratios(duel.starts, duel.keys).values() if ratio]
    if not ratios:
        return taken
    half = max(math.sqrt(ratio.high / ratio.low) - 1 for ratio in ratios)
    return f"{taken} the widest interval is {half:.1%} to either side".replace("%", " %")


def _tell(on_change: OnDuel, duel: Duel, message: str, within: float = 0.0) -> None:
    share = (len(duel.starts) + within) / duel.protocol.starts
    text = f"Start {len(duel.starts) + 1} of at most {duel.protocol.starts}: {message}"
    on_change(duel, Progress(message=text, fraction=min(0.99, share)))


def _start(workspace: Workspace, duel: Duel, tell: Callable[..., None], runner: TurnRunner, cuda: bool) -> Start:
    """Fresh processes of all, and their turns."""
    luck = random.Random()  # noqa: S311 - which engine comes first, not a secret
    with ExitStack() as stack:
        seats = {}
        for one in duel.contestants:
            folder = stack.enter_context(workspace.partial_folder(f"duel-{one.key[:12]}-"))
            _lay_out(workspace, one, folder)
            seats[one.key] = Seat(one.title, partial(_take_part, runner, one.key, folder))
        try:
            tell(f"loading {len(seats)} engines")
            order, ready = luck.sample(duel.keys, len(seats)), {}
            for key in order:
                seats[key].start()
            for key in order:
                seats[key].hear(Seated)
            for key in order:  # one after the other: they would spoil each other's load times
                seats[key].ask(0.0)
                ready[key] = seats[key].hear(Ready)
            return _rounds(duel, seats, ready, luck, tell, cuda)
        finally:
            _end(seats.values())


def _take_part(runner: TurnRunner, key: str, folder: Path, turn: Fetch) -> None:
    runner(key, folder, silent, turn)


def _end(seats: Iterable[Seat]) -> None:
    started = [seat for seat in seats if seat.ident is not None]
    for seat in started:
        seat.dismiss()
    for seat in started:
        if isinstance(error := seat.left(), Interrupted):
            raise error


def _rounds(
    duel: Duel,
    seats: Mapping[str, Seat],
    ready: Mapping[str, Ready],
    luck: random.Random,
    tell: Callable[..., None],
    cuda: bool,
) -> Start:
    protocol, keys = duel.protocol, list(seats)
    rounds = protocol.rounds_for(max(one.run_ms for one in ready.values()) / 1000)
    blocks: dict[str, list[float]] = {key: [] for key in keys}
    spent = {key: ready[key].processor_seconds for key in keys}
    gpu_before = gpu_sample("before") if cuda else None
    before, own_before = machine.counters(), sum(spent.values())
    for number in range(rounds):
        tell("taking turns", number / rounds)
        for key in luck.sample(keys, len(keys)):
            seats[key].ask(protocol.block_seconds)
            block = seats[key].hear(Block)
            if not (math.isfinite(block.median_ms) and block.median_ms > 0):
                raise EngineRoomError(f"A turn took {block.median_ms} ms, which cannot be.")
            blocks[key].append(block.median_ms)
            spent[key] = block.processor_seconds
    gpu_after = gpu_sample("after") if cuda else None  # its clock has not fallen yet
    gpu = gpu_facts(gpu_before, gpu_after) if gpu_before and gpu_after else {}
    held = clock_warnings([one for one in (gpu_before, gpu_after) if one])
    after = replace(machine.counters(), own_seconds=before.own_seconds + sum(spent.values()) - own_before)
    facts, warnings = machine.disturbances(before, after, len(machine.usable_cpus()))
    return Start(
        blocks={key: tuple(round(ms, 6) for ms in found) for key, found in blocks.items()},
        load_ms={key: round(one.load_ms, 1) for key, one in ready.items()},
        conditions={**facts, **gpu},
        warnings=(*warnings, *held),
    )


def _lay_out(workspace: Workspace, one: Contestant, folder: Path) -> None:
    """What the build's stages left, for its engine to be opened by.

    Raises:
        NotFound: It was deleted meanwhile.
        InvalidRequest: It was made anew.
    """
    source = workspace.build_folder(one.key)
    if not (source / BUILD_FILE).exists():
        raise NotFound(f"Build {one.key[:12]} ({one.title}) was deleted.", hint="Hold the others head to head.")
    if read_json(Build, source / BUILD_FILE).created_at != one.made_at:
        raise InvalidRequest(f"Build {one.key[:12]} ({one.title}) was made anew meanwhile.", hint="Begin the head-to-head again.")
    for file in source.glob("*.json"):
        if file.name != BUILD_FILE:
            shutil.copyfile(file, folder / file.name)
