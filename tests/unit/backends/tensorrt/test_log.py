"""TensorRT's log as sentences, and as progress before version 10. The messages are worded as TensorRT words them."""

from dataclasses import replace

import pytest

from core.backends._tensorrt.backend import Inspected, notes_of
from core.backends._tensorrt.build import BuildFacts
from core.backends._tensorrt.log import Log, build_failure, clean, load_failure, start_failure, warning_notes
from core.backends._tensorrt.parse import ParseRefusal, parse_failure
from core.base.errors import BuildFailed, RunFailed, Unavailable, UnsupportedOps
from core.graph.memory import EngineMemory


def log_of(*errors):
    log = Log()
    for error in errors:
        log.take(1, error)
    return log


@pytest.mark.parametrize(("code", "words"), [("35", "driver is missing or older"), ("100", "No NVIDIA GPU"), ("7", "error 7")])
def test_no_gpu_and_no_driver_are_a_sentence(code, words):
    error = start_failure(log_of(f"CUDA initialization failure with error: {code}"), "start its builder")
    assert isinstance(error, Unavailable)
    assert words in error.message
    assert error.hint
    assert "CUDA initialization" in error.detail


def test_out_of_memory_is_named_with_what_is_free():
    error = build_failure(
        log_of("1: [defaultAllocator.cpp::allocate::20] Error Code 1: Cuda Runtime (out of memory)"), "m.onnx", 2**30
    )
    assert isinstance(error, BuildFailed)
    assert error.message == "The GPU's memory was not enough to build m.onnx (1.0 GiB are free)."
    assert "workspace_mb" in error.hint


def test_a_layer_without_a_kernel_is_named():
    source = "10: [optimizer.cpp::computeCosts::3869] Error Code 10: Internal Error"
    said = f"{source} (Could not find any implementation for node conv + relu.)"
    assert "conv + relu" in build_failure(log_of(said), "m.onnx").message


def test_a_library_that_is_missing_is_named():
    error = build_failure(log_of("1: Error Code 1: Internal Error (Unable to load library: libnvinfer_lean.so.8.6.0)"), "m.onnx")
    assert isinstance(error, Unavailable)
    assert error.message == "TensorRT's library libnvinfer_lean.so.8.6.0 is not installed here."


def test_other_failures_say_what_tensorrt_said():
    said = "4: [network.cpp::validate::2965] Error Code 4: Internal Error (x: dynamic input is missing dimensions in profile 0.)"
    error = build_failure(log_of(said), "m.onnx")
    assert (
        error.message == "TensorRT could not build m.onnx: Internal Error (x: dynamic input is missing dimensions in profile 0.)"
    )
    assert "it gave no reason" in build_failure(Log(), "m.onnx").message


def test_messages_lose_their_source_lines():
    assert clean("2: [builder.cpp::build::1] Error Code 2: Internal Error (x)\nmore") == "Internal Error (x)"
    assert clean("plain") == "plain"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "Invalid Node - n\nITensor::getDimensions: Error Code 4: Shape Error (axis is not a constant In makeAxesMask at "
            "/_src/optimizer/common/shape/shapeContext.cpp:3553)\n[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda "
            "Runtime (In catchCudaError at /_src/common/dispatch/checkMacros.cpp:250 (cudaError 35: too old))",
            "axis is not a constant",
        ),
        (
            "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([tactic.cpp:1676: enumerate_tactics] No tactics.; "
            "[tactic.cpp:264: run] Error during tactic selection. In compileGraph at /_src/optimizer/codeGenerator.cpp:2012)",
            "No tactics.",
        ),
        (
            'creator && "Plugin not found, are the plugin name, version, and namespace correct?"',
            "Plugin not found, are the plugin name, version, and namespace correct?",
        ),
        ('Assertion failed: convertDtype(a, &b) && "Failed to convert."', "Failed to convert."),
        ("Assertion failed: c && versionOf(c) == Version::kV3: failed to load X plugin.", "failed to load X plugin."),
        (
            'Assertion failed: mode == "none": ScatterND with reduction is not supported.',
            "ScatterND with reduction is not supported.",
        ),
        (
            "ITensor::getDimensions: Error Code 3: API Usage Error (Parameter check failed, condition: a.b == K::kNONE. Option "
            "mask cannot be used. In validate at /_src/a.cpp:1)",
            "Option mask cannot be used",
        ),
        ("Error Code 4: Shape Error (volume changes. In operator() at /_src/a.cpp:4633)", "volume changes"),
    ],
)
def test_the_reason_survives(said, reason):
    assert clean(said) == reason


REFUSED = (
    "IRuntime::deserializeCudaEngine: Error Code 1: Internal Error (The engine cannot run on this GPU, which has compute "
    "capability 9.0. Supported compute capabilities: 8.0 8.6 8.9 12.0 12.1 >12.0. In deserialize at /_src/runtime/api.cpp:1)"
)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (REFUSED, Unavailable, "capability is 9.0: it is for 8.0, 8.6, 8.9, 12.0, 12.1, >12.0."),
        ("IRuntime::x: Error Code 1: Cuda Runtime (In A at /b.cpp:2 (cudaError 35: too old))", Unavailable, "driver is missing"),
        ("1: [a.cpp::b::1] Error Code 1: Serialization (Magic tag does not match.)", RunFailed, "Magic tag does not match."),
    ],
)
def test_an_engine_that_does_not_load_says_why(said, kind, words):
    error = load_failure(log_of(said))
    assert isinstance(error, kind)
    assert words in error.message
    assert error.hint


def test_a_missing_driver_is_not_taken_for_the_reason():
    log = log_of(
        "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at x.cpp:250 (cudaError 35: x))",
        "Error Code 4: API Usage Error (a is not b In validate at /_src/a.cpp:1)",
    )
    assert build_failure(log, "m.onnx").message == "TensorRT could not build m.onnx: a is not b"


def test_unsupported_nodes_are_named_by_op():
    errors = [ParseRefusal("Erfc", "gelu/Erfc", "No importer registered for op: Erfc", unsupported=True)]
    error = parse_failure(errors, [("gelu/Erfc", "Erfc"), *((f"n{i}", "Foo") for i in range(10))], Log())
    assert isinstance(error, UnsupportedOps)
    assert "11 nodes" in error.message
    assert "Erfc: gelu/Erfc" in error.message
    assert "n7 and 2 more" in error.message
    assert "plugin" in error.hint


def test_other_parser_errors_name_their_node():
    error = parse_failure([ParseRefusal("Reshape", "r1", "axes differ")], [], Log())
    assert isinstance(error, BuildFailed)
    assert "axes differ (at Reshape r1)" in error.message


def test_progress_is_counted_from_the_log():
    log = Log()
    assert log.fraction is None
    log.take(4, "After tensor merging: 60 layers")
    for _ in range(15):
        log.take(4, "=============== Computing costs for ")
    assert log.fraction == 0.25
    for _ in range(100):
        log.take(4, "=============== Computing costs for ")
    assert log.fraction == 0.99


def test_the_log_is_kept_without_its_chatter(tmp_path):
    log = Log(tmp_path / "build.log")
    log.take(4, "verbose")
    log.take(2, "a warning")
    log.take(3, "news")
    log.save()
    assert (tmp_path / "build.log").read_text() == "[warning] a warning\n[info] news\n"
    assert log.warnings == ["a warning"]


def test_warnings_are_notes_once_and_without_noise():
    """As TensorRT 8.5.3.1 and 8.6.0 worded them (docs/evidence/h100)."""
    weights = "- 1 weights are affected by this issue: Detected finite FP32 values which would overflow in FP16."
    told = warning_notes(
        [
            "The CUDA context changed between createInferBuilder and buildSerializedNetwork.",
            "Cache result detected as invalid for node: MatMul, LayerImpl: CaskGemmConvolution, tactic: 0x0000000006080453",
            "onnx2trt_utils.cpp:374: Your ONNX model has been generated with INT64 weights, while TensorRT does not.",
            "onnx2trt_utils.cpp:400: One or more weights outside the range of INT32 was clamped",
            "If this is not the desired behavior, please modify the weights.",
            "Check verbose logs for the list of affected weights.",
            "",
            weights,
            weights,
        ]
    )
    assert told == [
        "TensorRT warns: One or more weights outside the range of INT32 was clamped",
        "TensorRT warns: 1 weights are affected by this issue: Detected finite FP32 values which would overflow in FP16.",
    ]
    assert warning_notes([]) == []


def test_of_many_warnings_the_first_are_told():
    assert len(warning_notes(f"tensor {index}" for index in range(5))) == 5
    assert warning_notes(f"tensor {index}" for index in range(8))[4:] == ["TensorRT warns: tensor 4", "And 3 more in the log."]


def test_an_engine_tells_what_its_build_warned_of():
    facts = BuildFacts(
        gpu="H100",
        compute_capability="9.0",
        network_layers=2,
        flags=(),
        parse_seconds=0.1,
        build_seconds=1.0,
        timing_cache_bytes=None,
        warnings=("Weights were clamped.",),
    )
    assert notes_of(facts, Inspected(memory=EngineMemory(activation_bytes=2**20)), "TensorRT") == (
        "Built on H100 (compute capability 9.0) in 1.0 s from 2 network layers.",
        "Needs 1.0 MB of the GPU's memory for activations.",
        "TensorRT warns: Weights were clamped.",
    )
    assert notes_of(replace(facts, gpu="", compute_capability=""), Inspected(), "TensorRT-RTX")[0].startswith("Built with no GPU")
