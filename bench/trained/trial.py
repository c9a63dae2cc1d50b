"""One network on one path in one precision, by the product's own pipeline: its stages in their boxes, each a process."""

from __future__ import annotations

from pathlib import Path

from bench.strangers.attempt import Came, Outcome, judged
from bench.trained.packages import Network
from core.base.errors import EngineRoomError, Failure, StageCrashed
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import Report, silent
from core.models.model import Model
from core.parity.inputs import parse_ranges
from core.request.build_request import BuildRequest, checked
from core.request.paths import paths_for, precisions_of
from core.stages.child import run_stage
from core.stages.outcome import Outcome as Built
from core.stages.outcome import load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import StageName, State
from core.storage.workspace import Workspace

_UNEXPECTED = (EngineRoomError.__name__, StageCrashed.__name__)  # errors that nothing named


def tasks_of(model: Model, precisions: list[Precision]) -> list[tuple[str, Precision]]:
    """Every path of the model that works here, with those of these precisions that it makes; what detours through a SavedModel
    only to end in TensorFlow is left out."""
    paths = [path for path in paths_for(model) if path.available and not path.id.startswith("keras.savedmodel.tensorflow")]
    return [(path.id, precision) for precision in precisions for path in paths if precision in precisions_of(path)]


def trial(network: Network, model: Model, workspace: Workspace, path: str, precision: Precision) -> Outcome:
    """What the product says of it; INT8 is calibrated on what a build takes when nobody brings data."""
    request = BuildRequest(
        model=model.digest,
        path=path,
        precision=precision,
        profile=parse_profile(list(network.shapes)),
        ranges=parse_ranges(list(network.ranges)),
    )
    try:
        build = run_build(workspace, checked(request, model), on_change=lambda *_: None, runner=_runner)
    except EngineRoomError as error:
        return Outcome(came=Came.REFUSED, where="asking", reason=error.message)
    return _told(load_outcome(workspace, build.key))


def _runner(stage: StageName, folder: Path, report: Report) -> None:
    if stage is not StageName.MEASURE:  # speeds are not what is asked
        run_stage(stage, folder, silent)


def _told(outcome: Built) -> Outcome:
    build = outcome.build
    where, error = next(((record.stage.value, record.error) for record in build.stages if record.error), ("", None))
    if error and (build.state is State.FAILED or not outcome.parity):
        return Outcome(came=_kind(error), where=where, reason=error.message)
    if error:
        return Outcome(came=Came.FAULT, where=where, reason=error.message)
    if build.not_run:
        lost = [node.op for node in outcome.graph.unmapped] if outcome.graph else ["no layers are told"]
        return Outcome(came=Came.NOT_RUN, where="inspect", reason=f"{len(lost)} nodes are nowhere" if lost else "")
    if outcome.parity is None:
        return Outcome(came=Came.UNCOMPARED, where="parity", reason=outcome.unchecked)
    return judged(outcome.parity, "parity")


def _kind(error: Failure) -> Came:
    """Refusals name their reason; what no part of the product expected is a fault."""
    return Came.FAULT if error.kind in _UNEXPECTED or not error.message.strip() else Came.REFUSED
