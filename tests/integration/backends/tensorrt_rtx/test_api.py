"""What the shared code uses of TensorRT, against the bindings of TensorRT-RTX that are installed."""

import importlib

import pytest

from core.backends._tensorrt.versions import parse_version
from core.backends.tensorrt_rtx import BACKEND
from core.backends.tensorrt_rtx._product import CAPABILITIES, PRODUCT
from tests.unit.backends.tensorrt.api_uses import USES
from tests.unit.backends.tensorrt.test_api import GATES, RENAMED

HERE = BACKEND.availability()
pytestmark = pytest.mark.skipif(not HERE.available, reason=f"{HERE.reason} {HERE.hint}")


def has(module, name):
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def test_every_use_exists_where_it_is_reached():
    module = importlib.import_module(PRODUCT.module)
    facts = PRODUCT.features(parse_version(module.__version__))
    reached = [
        use
        for use in USES
        if use.name not in (*RENAMED, *RENAMED.values())
        and not use.looked_up
        and (use.name not in GATES or getattr(facts, GATES[use.name].fact) is not GATES[use.name].without)
    ]
    assert len(reached) > 100
    assert [use.place for use in reached if not has(module, use.name)] == []


def test_contexts_take_a_config_with_a_cache_of_kernels():
    """What none of TensorRT's listings has; no GPU that would run it was at hand."""
    engine = importlib.import_module(PRODUCT.module).ICudaEngine
    assert "runtime_config: tensorrt_rtx_bindings.tensorrt_rtx.IRuntimeConfig" in engine.create_execution_context.__doc__


def test_every_capability_that_is_offered_is_a_member():
    module = importlib.import_module(PRODUCT.module)
    members = set(module.ComputeCapability.__members__) - {"NONE", "CURRENT"}
    assert members == set(CAPABILITIES)
