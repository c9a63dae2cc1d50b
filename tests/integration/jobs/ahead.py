"""A backend that builds anywhere and runs on GPUs of some compute capabilities alone: the guide's own, changed for that.

GPUs are pretended: a host's driver is a script called nvidia-smi. An engine does not load while there is a file `mood` beside the
backend. Both lie where a boxed stage can read: in `core`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from tests.documented import additions, copy_of_the_tree

_AVAILABILITY = '        return from_packages("ONNX", "onnx")\n'
_THERE = """\
        return Availability(available=True, version="1", builds_on=("cpu", "cuda"), runs_on=("cuda",))

    def capabilities(self, options: dict[str, str]) -> tuple[str, ...]:
        return tuple(options.get("gpus", "8.6,8.9").split(","))
"""
_OPTIONS = "    options: tuple[Option, ...] = ()\n"
_GPUS = '    options: tuple[Option, ...] = (Option(name="gpus", default="8.6,8.9", help="Which it is for."),)\n'
_OPEN = "        yield _Session(engine)\n"
_ON_A_GPU = """\
        import os

        from core.base.errors import RunFailed

        if "CUDA_VISIBLE_DEVICES" not in os.environ:
            raise RunFailed("There is no GPU here.")
        if Path(__file__).with_name("mood").exists():
            raise RunFailed("The engine cannot run on this GPU.", hint="Use another.")
        yield _Session(engine)
"""
_TIMES = "        return {}\n"
_TIMED = "        return {layer.name: 0.25 for layer in self.describe(engine).layers}\n"


def tree_with_ahead(root: Path) -> Path:
    """A copy of the program with this backend in it."""
    tree = copy_of_the_tree(root)
    (addition,) = additions()["backend"]
    code = addition.code.replace('name = "reference"', 'name = "ahead"').replace('"ONNX reference"', '"Ahead"')
    for old, new in ((_AVAILABILITY, _THERE), (_OPTIONS, _GPUS), (_OPEN, _ON_A_GPU), (_TIMES, _TIMED)):
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    (tree / "core/backends/ahead.py").write_text(code)
    return tree


def mood_of(tree: Path) -> Path:
    return tree / "core/backends/mood"


def ahead_of(tree: Path) -> ModuleType:
    """That tree's backend as a module of this process."""
    spec = importlib.util.spec_from_file_location("core.backends.ahead", tree / "core/backends/ahead.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["core.backends.ahead"] = module
    spec.loader.exec_module(module)
    return module


def pretend_gpu(folder: Path, name: str, capability: str) -> dict[str, str]:
    """The environment of a host whose driver tells of such a GPU."""
    folder.mkdir()
    script = folder / "nvidia-smi"
    script.write_text(f'#!/bin/sh\ncase "$*" in *compute_cap*) echo {capability};; *) echo "{name}";; esac\n')
    script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
