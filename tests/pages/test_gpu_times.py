"""The GPU's own times as a page and the command line show them, from what an H100 really gave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.base.serialization import from_data
from core.benchmark.gpu import GpuTimes
from core.cli.builds import gpu_fields

EVIDENCE = Path(__file__).parents[2] / "docs/evidence/h100"
FIXED = EVIDENCE / "tensorrt-8.5.3.1/results/measure-mobilenetv2-tensorrt-int8.json"
RANGE = EVIDENCE / "tensorrt-8.5.3.1-first/results/measure-resnet50-tensorrt-fp16-batch1to64.json"


def times(path: Path) -> GpuTimes:
    return from_data(GpuTimes, json.loads(path.read_text())["gpu"])


def page(path: str) -> None:
    import json
    from pathlib import Path

    from core.base.serialization import from_data
    from core.benchmark.gpu import GpuTimes
    from dashboard.components.gpu_times import gpu_times_section

    gpu_times_section(from_data(GpuTimes, json.loads(Path(path).read_text())["gpu"]))


@pytest.mark.parametrize("path", [FIXED, RANGE], ids=["one batch", "a range of batches"])
def test_a_page_shows_runs_streams_batches_and_clocks(path: Path) -> None:
    app = AppTest.from_function(page, kwargs={"path": str(path)}).run()
    assert not app.exception
    gpu = times(path)
    tables = [element.value for element in app.dataframe]
    runs = tables[0]
    assert list(runs["How"])[: len(gpu.runs)] == [run.title for run in gpu.runs]
    assert "nan" not in runs.to_string().lower()
    assert [warning.value for warning in app.warning] == list(gpu.warnings)
    assert [next(iter(table.columns)) for table in tables[1:]] == ["Streams", *(["Batch"] if gpu.batches else []), "When"]
    assert len(tables[-1]) == len(gpu.clocks)


def test_the_command_line_has_a_line_for_each_way() -> None:
    gpu = times(FIXED)
    fields = dict(gpu_fields(gpu))
    assert str(fields["GPU, without transfers, by CUDA graph"]).startswith("0.166 ms computing")
    assert len([name for name in fields if name.startswith("GPU, ")]) == len(gpu.runs) == 4
    assert {"page-locked, plain", "page-locked, graph"} <= fields.keys()
    assert gpu_fields(None) == []
    assert dict(gpu_fields(times(RANGE)))["batch knee"] == 64
