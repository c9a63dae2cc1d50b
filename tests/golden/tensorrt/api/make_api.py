"""Writes what a TensorRT's Python bindings have, read from its wheel, into `VERSION.json` beside this file.

No GPU, driver or library of TensorRT is needed: the bindings import against empty libraries, which are compiled here. It takes
gcc with its binutils, and the Python that the wheel is for:

    python tests/golden/tensorrt/api/make_api.py tensorrt-cu12-bindings==11.4.0.106 --python python3.11
    python tests/golden/tensorrt/api/make_api.py tensorrt-cu12-bindings==11.0.0.114 --python python3.11
    python tests/golden/tensorrt/api/make_api.py tensorrt-cu12-bindings==10.16.1.11 --python python3.11
    python tests/golden/tensorrt/api/make_api.py tensorrt-cu12-bindings==10.1.0 --python python3.11
    python tests/golden/tensorrt/api/make_api.py tensorrt-cu12-bindings==10.0.1 --python python3.11
    python tests/golden/tensorrt/api/make_api.py tensorrt==8.6.0 --python python3.10
    python tests/golden/tensorrt/api/make_api.py tensorrt==8.5.3.1 --python python3.10

Before version 10, the wheel holds the libraries too: 0.5 and 0.8 GB are downloaded for a few kilobytes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

HERE = Path(__file__).parent
_PLATFORMS = ("manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_31_x86_64")
# Classes whose objects the backend holds or derives from; of the others, names are enough.
_SIGNED = {
    "Builder", "EngineInspector", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory", "ILayer", "ILogger",
    "IOptimizationProfile", "IOutputAllocator", "IPluginRegistry", "IProfiler", "IProgressMonitor", "ITensor", "ITimingCache",
    "OnnxParser", "ParserError", "Runtime",
}  # fmt: skip
_SIGNED_OF_NETWORK = ("get_input", "get_layer", "get_output")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("requirement", help="as pip takes it, with a version")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that the wheel is for")
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)  # REQUIREMENT is then the module to list
    given = parser.parse_args()
    if given.read:
        print(json.dumps(listing(importlib.import_module(given.requirement))))
        return
    with tempfile.TemporaryDirectory() as folder:
        module = unpack(download(given.requirement, given.python, Path(folder)), Path(folder))
        stubs(module / "tensorrt.so", Path(folder))
        paths = {"PYTHONPATH": folder, "LD_LIBRARY_PATH": folder}
        command = [given.python, str(Path(__file__).resolve()), module.name, "--read"]
        found = json.loads(_output(command, env={**os.environ, **paths}))
    target = HERE / f"{found['version']}.json"
    target.write_text(text_of(found), encoding="utf-8")
    print(f"{target}: {target.stat().st_size} bytes")


def download(requirement: str, python: str, folder: Path) -> Path:
    tag = _output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    platforms = [f"--platform={name}" for name in _PLATFORMS]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, f"--python-version={tag}", *platforms, f"--dest={folder}", requirement], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack(wheel: Path, folder: Path) -> Path:
    """The package with the bindings, without the libraries that older wheels hold."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (bindings,) = (name for name in names if name.count("/") == 1 and name.endswith("/tensorrt.so"))
        package = bindings.partition("/")[0]
        archive.extractall(folder, [bindings, f"{package}/__init__.py"])
    return folder / package


def stubs(bindings: Path, folder: Path) -> None:
    """A library by each name that the bindings ask for; every function they take from one returns 0."""
    needed = re.findall(r"\(NEEDED\).*\[(libnv[^]]+)]", _output(["readelf", "-d", str(bindings)]))
    wanted = re.findall(r"^ +U ([^@\n]+)$", _output(["nm", "-D", "--undefined-only", str(bindings)]), re.MULTILINE)
    functions = [name for name in wanted if not name.startswith(("Py", "_Py"))]
    source = folder / "stubs.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in functions), encoding="utf-8")
    for name in needed:
        subprocess.run(["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source)], check=True)


def listing(module: Any) -> dict[str, Any]:
    """What the module has.

    Returns:
        Its `version`; `enums`, the members of each with their numbers; `classes`, the public attributes of each, without those
        of its `bases`; `functions` and `signatures`, the first lines of the docstrings, one for each overload; `read_only`
        properties; `overrides`, the methods that a class tells its subclasses to define; and `values`, the module's own short
        names of enum members.
    """
    found: dict[str, Any] = {"version": module.__version__}
    found |= {kind: {} for kind in ("enums", "classes", "bases", "read_only", "overrides", "signatures", "functions", "values")}
    for name, value in sorted(vars(module).items()):
        if isinstance(value, type):
            _add_class(found, name, value)
        elif not name.startswith("_") and type(value).__name__ == "builtin_function_or_method":
            found["functions"][name] = _signatures(value)
        elif type(value).__name__ in found["enums"] and name != "value":
            found["values"].setdefault(type(value).__name__, []).append(name)
    return found


def _add_class(found: dict[str, Any], name: str, kind: Any) -> None:
    if hasattr(kind, "__members__"):
        found["enums"][name] = {member: int(value) for member, value in kind.__members__.items()}
        return
    bases = [base for base in kind.__mro__[1:] if base.__module__ == kind.__module__]
    inherited = {member for base in bases for member in dir(base)}
    own = {member: getattr(kind, member) for member in dir(kind) if not member.startswith("_") and member not in inherited}
    found["classes"][name] = list(own)
    if bases:
        found["bases"][name] = [base.__name__ for base in bases]
    for member, value in own.items():
        if isinstance(value, type):
            _add_class(found, f"{name}.{member}", value)
    if fixed := [member for member, value in own.items() if isinstance(value, property) and value.fset is None]:
        found["read_only"][name] = fixed
    if told := re.findall(r"def ((?!__init__)\w+\([^)]*\))", kind.__doc__ or ""):
        found["overrides"][name] = list(dict.fromkeys(told))
    if name in _SIGNED or name == "INetworkDefinition":
        callables = {"__init__": kind.__init__} | {member: value for member, value in own.items() if callable(value)}
        wanted = {member for member in callables if name in _SIGNED or member in _SIGNED_OF_NETWORK}
        found["signatures"][name] = {m: lines for m, v in callables.items() if m in wanted and (lines := _signatures(v))}


def _signatures(function: Any) -> list[str]:
    """pybind's lines, without the name of the function and of the module."""
    text = re.sub(r"\btensorrt(_bindings)?\.tensorrt\.", "", function.__doc__ or "")
    name = re.escape(function.__name__)
    lines = re.findall(rf"^\d+\. {name}(\(.*)$", text, re.MULTILINE) or re.findall(rf"\A{name}(\(.*)$", text, re.MULTILINE)
    return [line.strip() for line in lines]


def text_of(found: dict[str, Any]) -> str:
    """JSON with a line for each class, so that two versions can be compared."""
    blocks = [f'"version": {json.dumps(found["version"])}']
    for kind in (key for key in found if key != "version"):
        lines = (f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in found[kind].items())
        blocks.append(f"{json.dumps(kind)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n " + ",\n ".join(blocks) + "\n}\n"


def _output(command: list[str], env: dict[str, str] | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


if __name__ == "__main__":
    main()
