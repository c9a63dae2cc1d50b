"""Asks the targets about a stored model: each in a process of its own, each answer kept for the next time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from core.backends.base import OptionValue, backend_named
from core.base.availability import availability_of, installed_versions
from core.base.children.call import Child, NoAnswer
from core.base.children.nodes import last_node
from core.base.errors import EngineRoomError, Failure, StageCrashed, StoreFailed
from core.base.files import WORKSPACE_VARIABLE
from core.base.progress import Progress, Report, silent
from core.base.serialization import read_json, write_json
from core.models.model import Format, Model
from core.preflight.answer import ANSWER, Answer, Preflight, Target, Unasked
from core.preflight.ask import Question, ask
from core.request.build_request import BuildRequest
from core.request.paths import BuildPath, conversion_between
from core.stages.all_stages import all_stages
from core.stages.build import backend_version
from core.stages.child import QUIET, run_stage
from core.stages.desk import desk_for
from core.stages.stage import Prepared, Recipe, Task, as_stored, preparations_in
from core.storage.builds import REQUEST_FILE, StageName, result_file
from core.storage.workspace import Workspace

SECONDS = 900.0  # for one target; a question takes seconds

Options = Mapping[str, Mapping[str, OptionValue]]
Turn = Callable[[str, Report], AbstractContextManager[None]]


def at_once(backend: str, report: Report) -> AbstractContextManager[None]:
    return nullcontext()


def preflight(
    workspace: Workspace,
    model: Model,
    paths: Sequence[BuildPath],
    *,
    signature: str | None = None,
    options: Options | None = None,
    unasked: Sequence[Unasked] = (),
    report: Report = silent,
    turn: Turn = at_once,
) -> Preflight:
    """What the targets at the ends of these paths take of a model; one that fails or crashes fails alone.

    Args:
        paths: As `targets_for` gives them.
        options: Of backends by their name, where they differ from the defaults: plugins, for one.
        turn: Entered before a target is asked that has not answered before: it may wait for the device.
    """
    asking = _Asking(workspace=workspace, model=model, signature=signature, options=options or {}, turn=turn)
    targets = []
    for place, path in enumerate(paths):
        title = backend_named(path.backend).title

        def tell(step: Progress, place: int = place, title: str = title) -> None:
            report(Progress(message=f"{title}: {step.message}", fraction=(place + (step.fraction or 0.0)) / len(paths)))

        targets.append(asking.target(path, tell))
    return Preflight(
        model=model.digest, signature=model.signature(signature).name, targets=tuple(targets), unasked=tuple(unasked)
    )


def answer_folders(
    workspace: Workspace, model: Model, paths: Sequence[BuildPath], *, signature: str | None = None
) -> dict[str, Path]:
    """Where the answers lie that are kept, by backend; nothing is asked, and the model is not opened."""
    asking = _Asking(workspace=workspace, model=model, signature=signature, options={})
    return {path.backend: folder for path in paths if (folder := workspace.artifact(asking.key(path)))}


@dataclass(frozen=True, kw_only=True)
class _Asking:
    """Attributes:
    prepared: What was made of the model, by the formats on the way.
    failed: Why a stage could make nothing of it, by the formats and the stage.
    """

    workspace: Workspace
    model: Model
    signature: str | None
    options: Options
    turn: Turn = at_once
    prepared: dict[tuple[Format, ...], dict[StageName, Prepared]] = field(default_factory=dict)
    failed: dict[tuple[tuple[Format, ...], StageName], EngineRoomError] = field(default_factory=dict)

    def target(self, path: BuildPath, report: Report) -> Target:
        try:
            if answer := self.known(path):
                return Target.of(path, answer=answer)
            with self.turn(path.backend, report):
                return Target.of(path, answer=self._asked(path, report))
        except EngineRoomError as error:
            return Target.of(path, failure=Failure.of(error))

    def known(self, path: BuildPath) -> Answer | None:
        folder = self.workspace.artifact(self.key(path))
        if folder is None:
            return None
        with suppress(StoreFailed):  # just deleted
            answer = read_json(Answer, folder / ANSWER)
            return answer if answer.is_whole(self.workspace) else None
        return None

    def _request(self, path: BuildPath) -> BuildRequest:
        return BuildRequest(
            model=self.model.digest,
            path=path.id,
            signature=self.model.signature(self.signature).name,
            options=dict(self.options.get(path.backend, {})),
        )

    def key(self, path: BuildPath) -> str:
        return self.recipe(path).key

    def recipe(self, path: BuildPath) -> Recipe:
        """All that decides the answer; the model's own bytes are in its digest, so that it need not be opened."""
        request = self._request(path)
        packages = [name for step in pairwise(path.formats) for name in conversion_between(*step).packages]
        step = {"step": "preflight", "path": request.path, "signature": request.signature, "options": request.options}
        versions = {**backend_version(path.backend), **installed_versions(*packages, "onnx", "onnxslim")}
        return Recipe.of(request.model, step, versions)

    def _asked(self, path: BuildPath, report: Report) -> Answer:
        request = self._request(path)
        made = self._preparations(path, report)
        graph = made.get(StageName.CONVERT) or as_stored(self.model, request.signature)
        asked = made.get(StageName.SIMPLIFY, graph) if backend_named(path.backend).simplifies else graph
        recipe = self.recipe(path)
        question = Question(key=recipe.key, request=request, graph=graph, asked=asked)
        title = backend_named(path.backend).title
        if outlived := self.workspace.artifact(question.key):  # its conversion was deleted
            shutil.rmtree(outlived, ignore_errors=True)
        artifacts = {self.workspace.artifacts / prepared.artifact for prepared in (graph, asked) if prepared.artifact}
        inputs = [path.absolute() for path in (self.workspace.model_folder(self.model.digest), *artifacts)]
        with desk_for(self.workspace, self.model.digest, inputs) as desk:
            desk.made[recipe.key] = recipe
            environment = {**QUIET, WORKSPACE_VARIABLE: str(desk.workspace.root)}
            gpu = "cuda" in availability_of(backend_named(path.backend)).builds_on
            child = Child(environment=environment, box=desk.box(gpu=gpu), seconds=SECONDS)
            try:
                child.call(ask, desk.workspace.root, question, report)
            except NoAnswer as end:
                raise _crashed(title, end) from None
            desk.take_artifacts()
        folder = self.workspace.artifact(question.key)
        if folder is None:
            raise StoreFailed(f"The answer of {title} was deleted.", hint="Ask again.")
        return read_json(Answer, folder / ANSWER)

    def _preparations(self, path: BuildPath, report: Report) -> dict[StageName, Prepared]:
        """What the stages before a build make of the model, as a build by this path would have them made."""
        done = self.prepared.setdefault(path.formats, {})
        task = Task(request=self._request(path), model=self.model)
        for name in (StageName.CONVERT, StageName.SIMPLIFY):
            if name in done or not all_stages()[name].when(task):
                continue
            if failure := self.failed.get((path.formats, name)):
                raise failure
            with self.workspace.partial_folder("preflight-") as folder:
                write_json(folder / REQUEST_FILE, task.request)
                for earlier, prepared in done.items():
                    write_json(result_file(folder, earlier), prepared)
                try:
                    run_stage(name, folder, report)
                except EngineRoomError as error:
                    self.failed[path.formats, name] = error
                    raise
                done[name] = preparations_in(folder)[name]
        return done


def _crashed(title: str, end: NoAnswer) -> StageCrashed:
    found = last_node(end.log)
    where = f" The last node that it was at: {found[0]} {found[1]}." if found else " It was at no node that it told."
    hint = "Take that node out as a small file (--subgraph) to try it alone" if found else "The details may tell why"
    return StageCrashed(
        f"The process that asked {title} {end.ending.words}.{where}",
        hint=f"{hint}; the other targets' answers are not touched by it.",
        detail=end.log,
    )
