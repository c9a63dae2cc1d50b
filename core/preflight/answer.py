"""The value types: what one target answered, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.backends.base import backend_named
from core.base.errors import Failure
from core.graph.support import Support
from core.request.paths import BuildPath
from core.stages.stage import Prepared
from core.storage.workspace import Workspace

ANSWER = "answer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a target takes of a model.

    Attributes:
        graph: The model in the format that the target is given; the nodes are its.
        asked: What the runtime was asked about: the same, simplified where every build for it simplifies first.
    """

    graph: Prepared
    asked: Prepared
    support: Support

    def is_whole(self, workspace: Workspace) -> bool:
        """Whether what it is about is still there."""
        return all(one.artifact is None or workspace.artifact(one.artifact) for one in (self.graph, self.asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target, and its answer or why there is none.

    Attributes:
        path: Id of the path that leads to it.
    """

    backend: str
    title: str
    path: str
    answer: Answer | None = None
    failure: Failure | None = None

    @classmethod
    def of(cls, path: BuildPath, *, answer: Answer | None = None, failure: Failure | None = None) -> Target:
        title = backend_named(path.backend).title
        return cls(backend=path.backend, title=title, path=path.id, answer=answer, failure=failure)

    @property
    def takes_all(self) -> bool:
        return self.answer is not None and self.answer.support.complete


@dataclass(frozen=True, slots=True, kw_only=True)
class Unasked:
    """A backend that was not asked, and why."""

    backend: str
    title: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What all targets take of a model's signature."""

    model: str
    signature: str
    targets: tuple[Target, ...]
    unasked: tuple[Unasked, ...] = field(default=())

    def target(self, backend: str) -> Target | None:
        return next((target for target in self.targets if target.backend == backend), None)
