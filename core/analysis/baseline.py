"""The build that the others of a model are to be held against, where it is not there: what would make it."""

from __future__ import annotations

from collections.abc import Sequence

from core.analysis.targets import path_choices
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.jobs.job import Worker
from core.models.model import Model
from core.request.build_request import BuildRequest, checked
from core.request.references import ends_on, own_framework
from core.storage.builds import Build, StageName, State


def missing_baseline(model: Model, builds: Sequence[Build], workers: Sequence[Worker] = ()) -> BuildRequest | None:
    """The request for the source's own framework in FP32, under the conditions of the newest build that is done.

    None where it was measured, where a build of it is going on, where it cannot be built, and where there are no builds at all.

    Args:
        builds: The model's, newest first.
        workers: Those that there are; this machine is asked where none tells.
    """
    own = [build for build in builds if build.request.precision is Precision.FP32 and _is_own(model, build.request.path)]
    if not builds or any(_measured(build) or build.state in (State.WAITING, State.RUNNING) for build in own):
        return None
    if again := next((build.request for build in own if not build.not_run), None):
        return again  # it failed, or was cancelled: its finished stages stay
    like = next((build for build in builds if build.state is State.DONE), builds[0]).request
    for device in dict.fromkeys((like.device, "cpu")):
        choices = [one for one in path_choices(model, device, workers, like.signature) if _is_own(model, one.path.id)]
        able = [one for one in choices if one.possible and not one.not_run and Precision.FP32 in one.precisions]
        for choice in sorted(able, key=lambda one: not one.is_reference):
            asked = BuildRequest(
                model=model.digest,
                path=choice.path.id,
                signature=like.signature,
                profile=like.profile,
                inputs=like.inputs,
                device=device,
                threads=like.threads,
                protocol=like.protocol,
                seed=like.seed,
                ranges=like.ranges,
            )
            try:
                return checked(asked, model, here=False)
            except EngineRoomError:  # it does not take this profile or signature
                continue
    return None


def _is_own(model: Model, path: str) -> bool:
    return any(ends_on(path, end) for end in own_framework(model.format))


def _measured(build: Build) -> bool:
    return any(record.stage is StageName.MEASURE and record.state is State.DONE for record in build.all_stages)
