"""What the code uses of TensorRT, against what each version's Python bindings have (listed in golden/tensorrt/api)."""

import ast
from dataclasses import dataclass
from enum import IntEnum
from types import SimpleNamespace

import pytest

from core.backends._tensorrt import options
from core.backends._tensorrt.log import _LEVELS
from core.backends._tensorrt.versions import array_dtype, flags_for, network_flags, parse_version
from core.backends.tensorrt._product import OLDEST, features
from core.base.precision import Precision
from tests.unit.backends.tensorrt.api_uses import (
    HELD,
    LISTINGS,
    MODULES,
    USES,
    Use,
    enclosing_function,
    fits,
    has,
    parameters_of,
    signatures,
)


@dataclass(frozen=True)
class Gate:
    """Which fact of `Features` decides about a use that not every version has.

    Attributes:
        without: The use is for versions that lack the fact.
        outlives: Later versions still have the name, without a need for it.
    """

    fact: str
    without: bool = False
    outlives: bool = False

    def open(self, listing: dict) -> bool:
        return getattr(features(parse_version(listing["version"])), self.fact) is not self.without


# Every use that some version lacks.
GATES = {
    "BuilderFlag.FP16": Gate("precision_flags", outlives=True),
    "BuilderFlag.INT8": Gate("precision_flags", outlives=True),
    "BuilderFlag.OBEY_PRECISION_CONSTRAINTS": Gate("precision_flags", outlives=True),
    "ILayer.precision": Gate("precision_flags", outlives=True),
    "ILayer.set_output_type": Gate("precision_flags", outlives=True),
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": Gate("explicit_batch_flag", outlives=True),
    "OnnxParser.get_subgraph_nodes": Gate("subgraphs"),
    "OnnxParser.num_subgraphs": Gate("subgraphs"),
    "OnnxParser.supports_model_v2": Gate("subgraphs"),
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": Gate("strong_types"),
    "BuilderFlag.VERSION_COMPATIBLE": Gate("compatibility"),
    "HardwareCompatibilityLevel": Gate("compatibility"),
    "IBuilderConfig.hardware_compatibility_level": Gate("compatibility"),
    "IBuilderConfig.plugins_to_serialize": Gate("compatibility"),
    "Runtime.engine_host_code_allowed": Gate("compatibility"),
    "IBuilderConfig.builder_optimization_level": Gate("optimization_level"),
    "IBuilderConfig.max_aux_streams": Gate("aux_streams"),
    "IBuilderConfig.progress_monitor": Gate("progress_monitor"),
    "IProgressMonitor": Gate("progress_monitor"),
    "IPluginRegistry.load_library": Gate("plugin_libraries"),
    "PreviewFeature.PROFILE_SHARING_0806": Gate("profile_sharing_preview", outlives=True),
    "ParserError.node_name": Gate("node_errors"),
    "ParserError.node_operator": Gate("node_errors"),
    "OnnxParser.supports_model": Gate("subgraphs", without=True, outlives=True),
    "BuilderFlag.STRIP_PLAN": Gate("strip_plan"),
    "ICudaEngine.get_device_memory_size_for_profile_v2": Gate("profile_memory"),
    "ICudaEngine.create_runtime_config": Gate("runtime_cache", outlives=True),
    "IRuntimeConfig.create_runtime_cache": Gate("runtime_cache"),
    "IRuntimeConfig.set_runtime_cache": Gate("runtime_cache"),
    "IRuntimeCache.deserialize": Gate("runtime_cache"),
    "IRuntimeCache.serialize": Gate("runtime_cache"),
    "ComputeCapability": Gate("named_capabilities", outlives=True),
    "IBuilderConfig.num_compute_capabilities": Gate("named_capabilities", outlives=True),
    "IBuilderConfig.set_compute_capability": Gate("named_capabilities", outlives=True),
}
# What stands for a fact where a use is decided about, besides its own name: options that versions without it refuse, and what
# is empty without it.
STAND_INS = {
    "compatibility": {"version_compatible", "hardware_compatibility"},
    "precision_flags": {"nodes", "held"},
}
# A file that only what has the fact reaches, from where it is imported.
FILES = {"runtime_cache.py": "runtime_cache"}
# One or the other is there; the code asks for the first by `getattr`.
RENAMED = {"ICudaEngine.device_memory_size_v2": "ICudaEngine.device_memory_size"}


def ids(listing: dict) -> str:
    return listing["version"]


every_version = pytest.mark.parametrize("listing", LISTINGS, ids=ids)


def test_the_listings_reach_from_the_oldest_version_to_11():
    assert parse_version(LISTINGS[0]["version"]) == OLDEST
    assert {parse_version(listing["version"])[0] for listing in LISTINGS} == {8, 10, 11}


@every_version
def test_every_use_exists_where_it_is_reached(listing):
    """What fails here is an AttributeError on a machine with that version."""
    lacking = [
        use.place
        for use in USES
        if not has(listing, use.name)
        and use.name not in (*RENAMED, *RENAMED.values())
        and (use.name not in GATES or GATES[use.name].open(listing))
    ]
    assert lacking == []


@every_version
@pytest.mark.parametrize("name", GATES)
def test_facts_agree_with_the_bindings(listing, name):
    gate, there = GATES[name], has(listing, name)
    assert there or not gate.open(listing)
    if not gate.outlives:
        assert gate.open(listing) == there


@every_version
def test_a_renamed_member_has_one_of_its_names(listing):
    for new, old in RENAMED.items():
        assert has(listing, new) or has(listing, old)


def test_gates_and_receivers_are_in_use():
    used = {use.name for use in USES}
    assert [name for name in (*GATES, *RENAMED, *RENAMED.values()) if name not in used] == []
    written = {file: {ast.unparse(node) for node, _ in nodes if isinstance(node, ast.expr)} for file, nodes in MODULES.items()}
    assert [
        (file, key) for file, held in HELD.items() for key in held if key.split(" ", 1)[-1] not in written.get(file, ())
    ] == []
    lacking = {use.name for use in USES for listing in LISTINGS if not has(listing, use.name)}
    assert lacking - {*RENAMED, *RENAMED.values()} <= set(GATES)


@pytest.mark.parametrize("use", [use for use in USES if use.name in GATES and not use.looked_up], ids=lambda use: use.place)
def test_uses_that_a_version_lacks_are_decided_about(use):
    words = {GATES[use.name].fact, *STAND_INS.get(GATES[use.name].fact, ())}
    if FILES.get(use.file) in words:
        assert all(_decided(*call, words) for call in _calls("cached"))
        return
    assert _decided(use.node, use.path, words) or _callers_decide(use, words)


def _decided(node: ast.AST, path: tuple[ast.AST, ...], words: set[str]) -> bool:
    """Whether a condition around it, or one that leaves its function before it, names one of the words."""
    tests = [parent.test for parent in path if isinstance(parent, ast.If | ast.IfExp)]
    if function := enclosing_function(path):
        tests += [
            before.test
            for before in function.body
            if isinstance(before, ast.If) and isinstance(before.body[-1], ast.Return) and before.lineno < node.lineno
        ]
    return any(_words(test) & words for test in tests)


def _words(test: ast.AST) -> set[str]:
    found = (getattr(node, "attr", getattr(node, "id", getattr(node, "value", ""))) for node in ast.walk(test))
    return {word for word in found if isinstance(word, str)}


def _callers_decide(use: Use, words: set[str]) -> bool:
    names = {node.name for node in use.path if isinstance(node, ast.FunctionDef)}
    return any(calls and all(_decided(*call, words) for call in calls) for calls in map(_calls, names))


def _calls(name: str) -> list[tuple[ast.AST, tuple[ast.AST, ...]]]:
    nodes = (found for nodes in MODULES.values() for found in nodes)
    return [
        (node, path) for node, path in nodes if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name
    ]


def test_no_object_of_tensorrt_is_overlooked():
    """A member of TensorRT's on an expression that `HELD` does not know: add it there, or it goes unchecked."""
    known = {kind for held in HELD.values() for kind in held.values()}
    members = {name for listing in LISTINGS for kind in known for name in listing["classes"].get(kind, ()) if "_" in name}
    nodes = [node for each in MODULES.values() for node, _ in each]
    ours = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    ours |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    seen = {id(use.node) for use in USES}
    strange = [
        f"{file}:{node.lineno} {ast.unparse(node)}"
        for file, each in MODULES.items()
        for node, _ in each
        if isinstance(node, ast.Attribute) and node.attr in members - ours and id(node) not in seen
    ]
    assert strange == []


@every_version
def test_calls_fit_the_signatures(listing):
    wrong, checked = [], 0
    facts = features(parse_version(listing["version"]))
    for use in USES:
        if use.file in FILES and not getattr(facts, FILES[use.file]):
            continue
        overloads = signatures(listing, use.name)
        if use.call is None or not overloads or any(isinstance(argument, ast.Starred) for argument in use.call.args):
            continue
        checked += 1
        if not any(fits(use.call, parameters) for parameters in overloads):
            wrong.append(f"{use.place}: {ast.unparse(use.call)} does not fit {overloads}")
    assert wrong == []
    assert checked > 30


@every_version
def test_what_is_set_can_be_set(listing):
    fixed = {f"{kind}.{member}" for kind, members in listing["read_only"].items() for member in members}
    assert [use.place for use in USES if use.is_set and use.name in fixed] == []


SUBCLASSES = [
    (node, node.bases[0].attr)
    for nodes in MODULES.values()
    for node, _ in nodes
    if isinstance(node, ast.ClassDef) and node.bases and ast.unparse(node.bases[0]).startswith("trt.")
]


@pytest.mark.parametrize(
    ("listing", "ours", "base"),
    [
        pytest.param(listing, ours, base, id=f"{base}-{listing['version']}")
        for listing in LISTINGS
        for ours, base in SUBCLASSES
        if has(listing, base)
    ],
)
def test_what_tensorrt_calls_takes_what_it_gives(listing, ours, base):
    """TensorRT calls these by position; a missing one is told in its log at the most."""
    wanted = {name: parameters for name in listing["signatures"][base] for parameters in signatures(listing, f"{base}.{name}")}
    for line in listing["overrides"].get(base, ()):
        wanted[line.partition("(")[0]] = parameters_of(line[line.index("(") :])
    wanted.pop("__init__", None)
    methods = {method.name: len(method.args.args) - 1 for method in ours.body if isinstance(method, ast.FunctionDef)}
    assert {name: methods.get(name) for name in wanted} == {name: len(parameters) for name, parameters in wanted.items()}


@every_version
@pytest.mark.parametrize("precision", Precision)
def test_flags_that_a_build_sets_are_there(listing, precision):
    version = features(parse_version(listing["version"]))
    assert {name for name, wanted in flags_for(precision, version).items() if wanted} <= set(listing["enums"]["BuilderFlag"])


@every_version
def test_networks_are_made_with_flags_that_are_there(listing):
    members = listing["enums"]["NetworkDefinitionCreationFlag"]
    version = features(parse_version(listing["version"]))
    given = network_flags(SimpleNamespace(NetworkDefinitionCreationFlag=IntEnum("Flag", members)), version)
    assert {name for name, number in members.items() if given >> number & 1} == (
        {"EXPLICIT_BATCH"} if version.explicit_batch_flag else {"STRONGLY_TYPED"}
    )


@every_version
def test_severities_have_the_numbers_that_the_log_goes_by(listing):
    severities = listing["enums"]["ILogger.Severity"]
    assert {number: name.lower().replace("_", " ") for name, number in severities.items()} == dict(enumerate(_LEVELS))


def test_options_offer_what_some_version_has_and_miss_nothing():
    def members(enum: str) -> set[str]:
        return {name.lower() for listing in LISTINGS for name in listing["enums"].get(enum, ())}

    choices = {option.name: option.choices for option in options.OPTIONS}
    assert set(options._TACTIC_SOURCES) == members("TacticSource")
    assert {"workspace", *options._MEMORY_POOLS} == members("MemoryPoolType")
    assert set(choices["hardware_compatibility"]) == members("HardwareCompatibilityLevel")


@every_version
def test_every_type_is_known_or_none_that_an_array_holds(listing):
    unknown = {name for name in listing["enums"]["DataType"] if array_dtype(name) is None}
    assert unknown <= {"INT4", "FP4", "E8M0"}
