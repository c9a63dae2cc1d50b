"""What the code uses of TensorRT, read from its source, and what each version's Python bindings have (golden/tensorrt/api)."""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.backends._tensorrt import versions

SOURCES = Path(versions.__file__).parent
LISTINGS = sorted(
    (json.loads(path.read_text()) for path in (Path(__file__).parents[3] / "golden/tensorrt/api").glob("*.json")),
    key=lambda listing: [int(part) for part in listing["version"].split(".")],
)

# The class of what an expression holds, by file; after a function's name, in that function alone. `trt.X` needs no entry.
HELD = {
    "build.py": {
        "builder": "Builder",
        "network": "INetworkDefinition",
        "config": "IBuilderConfig",
        "tensor": "ITensor",
        "t": "ITensor",
        "_add_profiles profile": "IOptimizationProfile",
    },
    "execution.py": {
        "engine": "ICudaEngine",
        "self.engine": "ICudaEngine",
        "self.context": "IExecutionContext",
    },
    "graph.py": {"parser": "OnnxParser"},
    "inspection.py": {
        "engine": "ICudaEngine",
        "inspector": "EngineInspector",
        "context": "IExecutionContext",
        "execution.context": "IExecutionContext",
    },
    "layer_types.py": {
        "network": "INetworkDefinition",
        "config": "IBuilderConfig",
        "layer": "ILayer",
        "layer.get_output(index)": "ITensor",
    },
    "measure.py": {"execution.engine": "ICudaEngine"},
    "parse.py": {"parser": "OnnxParser", "error": "ParserError"},
    "preflight.py": {
        "builder": "Builder",
        "network": "INetworkDefinition",
        "parser": "OnnxParser",
        "tensor": "ITensor",
    },
    "plugins.py": {"trt.get_plugin_registry()": "IPluginRegistry"},
    "runtime_cache.py": {
        "engine": "ICudaEngine",
        "self._engine": "ICudaEngine",
        "self._config": "IRuntimeConfig",
        "self._cache": "IRuntimeCache",
    },
    "session.py": {"runtime": "Runtime"},
    "timing_cache.py": {"config": "IBuilderConfig", "cache": "ITimingCache"},
    "trial.py": {
        "self._builder": "Builder",
        "network": "INetworkDefinition",
        "config": "IBuilderConfig",
        "profile": "IOptimizationProfile",
        "tensor": "ITensor",
        "network.get_input(index)": "ITensor",
    },
    "versions.py": {"engine": "ICudaEngine"},
}


@dataclass(frozen=True)
class Use:
    """One place where the code names something of TensorRT's: `Class.member`, or a name of the module."""

    name: str
    file: str
    node: ast.AST
    path: tuple[ast.AST, ...]  # from the module down to the node's parent
    looked_up: bool = False  # by a string, with an answer for its absence

    @property
    def place(self) -> str:
        return f"{self.file}:{getattr(self.node, 'lineno', 0)} {self.name}"

    @property
    def call(self) -> ast.Call | None:
        parent = self.path[-1]
        return parent if isinstance(parent, ast.Call) and parent.func is self.node else None

    @property
    def is_set(self) -> bool:
        return isinstance(self.node, ast.Attribute) and isinstance(self.node.ctx, ast.Store)


def _walk(node: ast.AST, path: tuple[ast.AST, ...] = ()) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    yield node, path
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, (*path, node))


def enclosing_function(path: tuple[ast.AST, ...]) -> ast.FunctionDef | None:
    return next((node for node in reversed(path) if isinstance(node, ast.FunctionDef)), None)


MODULES = {path.name: list(_walk(ast.parse(path.read_text(encoding="utf-8")))) for path in sorted(SOURCES.glob("*.py"))}
# Flags are also named by strings.
FLAGS = {
    member: kind
    for listing in LISTINGS
    for kind in ("BuilderFlag", "NetworkDefinitionCreationFlag")
    for member in listing["enums"][kind]
}


def _class_of(file: str, expression: ast.AST, path: tuple[ast.AST, ...]) -> str | None:
    text, function = ast.unparse(expression), enclosing_function(path)
    held = HELD.get(file, {})
    for key in (*((f"{function.name} {text}",) if function else ()), text):
        if key in held:
            return held[key]
    parent, _, name = text.rpartition(".")
    return name if parent.rpartition(".")[2] == "trt" else None


def _uses() -> Iterator[Use]:
    for file, nodes in MODULES.items():
        for node, path in nodes:
            if isinstance(node, ast.Attribute) and not node.attr.startswith("__"):
                if ast.unparse(node.value).rpartition(".")[2] == "trt":
                    yield Use(node.attr, file, node, path)
                elif kind := _class_of(file, node.value, path):
                    yield Use(f"{kind}.{node.attr}", file, node, path)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and isinstance(node.args[1], ast.Constant):
                if kind := _class_of(file, node.args[0], path):
                    yield Use(f"{kind}.{node.args[1].value}", file, node, path, looked_up=True)
            elif isinstance(node, ast.Constant) and node.value in FLAGS and not _names_types(path):
                yield Use(f"{FLAGS[node.value]}.{node.value}", file, node, path, looked_up=True)


def _names_types(path: tuple[ast.AST, ...]) -> bool:
    """Whether this is in the table of `DataType`, some of which are called like flags."""
    return any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_DTYPES" for node in path)


USES = list(_uses())


def has(listing: dict, name: str) -> bool:
    """Whether a version has `Class.member`, or that name in its module."""
    owner, _, member = name.rpartition(".")
    if not owner:
        return any(member in listing[kind] for kind in ("enums", "classes", "functions")) or any(
            member in names for names in listing["values"].values()
        )
    if owner in listing["enums"]:
        return member in listing["enums"][owner]
    owners = [owner, *listing["bases"].get(owner, [])]
    return any(member in listing["classes"].get(each, ()) for each in owners)


def signatures(listing: dict, name: str) -> list[list[tuple[str, bool]]]:
    """The overloads of `Class.method`, of a class's constructor or of a function, each as its `parameters_of`."""
    owner, _, member = name.rpartition(".")
    if owner:
        lines = listing["signatures"].get(owner, {}).get(member, [])
    else:
        lines = listing["functions"].get(member) or listing["signatures"].get(member, {}).get("__init__", [])
    return [parameters_of(line) for line in lines]


def parameters_of(line: str) -> list[tuple[str, bool]]:
    """Name of each parameter besides self, and whether it may be left out, of pybind's `(self: A, b: int = 0) -> C`."""
    inside, depth, found = line[1:], 0, [""]
    for letter in inside:
        depth += (letter in "([{<") - (letter in ")]}>")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    names = [(part.partition(":")[0].strip(), "=" in part) for part in found if part.strip()]
    return [entry for entry in names if entry[0] != "self"]


def fits(call: ast.Call, parameters: list[tuple[str, bool]]) -> bool:
    names = [name for name, _ in parameters]
    given = names[: len(call.args)]
    named = [keyword.arg for keyword in call.keywords]
    needed = {name for name, optional in parameters if not optional}
    return len(call.args) <= len(names) and set(named) <= set(names) - set(given) and needed <= {*given, *named}
