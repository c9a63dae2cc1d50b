"""Stands in for a toolchain's interpreter: stages that take milliseconds and keep a journal, or misbehave on request.

`fake_python.py HOME -m core.base.children FUNCTION`, as `core/base/children` tells. Below HOME:

journal.jsonl       one line a stage's start and end, appended; `doubled` when the build or its device is in use already
behaviour/<seed>    Python that a request with that seed runs in its build stage, with `stage`, `folder` and `say` at hand;
                    `<seed>.measure` in that stage
seconds             how long a stage takes
"""

import fcntl
import json
import os
import sys
import time

LATENCY = ("median_ms", "low_ms", "high_ms", "mean_ms", "std_ms", "min_ms", "p90_ms", "p99_ms")

home, arguments = sys.argv[1], sys.argv[2:]


def write(**entry: object) -> None:
    line = json.dumps({**entry, "pid": os.getpid(), "at": time.clock_gettime(time.CLOCK_BOOTTIME)}) + "\n"
    journal = os.open(f"{home}/journal.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(journal, line.encode())
    os.close(journal)


def hold(name: str) -> None:
    """Takes a lock that only this process's death gives back; tells the journal when somebody else has it."""
    os.makedirs(f"{home}/locks", exist_ok=True)
    lock = os.open(f"{home}/locks/{name}", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        write(event="doubled", what=name)


def device_in_use() -> str | None:
    """The device as its lock names it, among the files that the worker has handed down."""
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if "/engine-room-" in target and target.endswith(".lock"):
            return ":".join(os.path.basename(target)[: -len(".lock")].rsplit("-", 1))
    write(event="no device lock")
    return None


def say(**event: object) -> None:
    os.write(int(os.environ["ENGINEROOM_EVENTS"]), (json.dumps(event) + "\n").encode())


def read(path: str, default: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return default


def describe() -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    here: dict[str, object] = {"available": True, "version": "0", "devices": ["cpu", "cuda"], "reason": "", "hint": ""}
    backends = dict.fromkeys(("onnxruntime", "openvino", "tensorflow"), here)
    backends["tensorrt"] = {"available": False, "reason": "No GPU is here.", "hint": "Get one."}
    say(answer={"name": "fake", "python": "fake", "version": version, "backends": backends, "conversions": {}})


def result(stage: str, model: str) -> object:
    """The least that a stage can leave; what it names is the model itself, so that there is no artifact."""
    signature = {"name": "main", "inputs": [], "outputs": []}
    prepared = {"artifact": None, "entry": "model.onnx", "format": "onnx", "signature": signature}
    engine = {"folder": ".", "backend": "fake", "config": {}, "signature": signature, "artifact": "engine", "size_bytes": 1}
    latency: dict[str, float] = dict.fromkeys(LATENCY, 1.0) | {"samples": 1}
    known: dict[str, object] = {
        "build": {"artifact": model, "engine": engine, "build_seconds": 0.0, "peak_memory_bytes": 1},
        "inspect": {"layers": [], "source_nodes": []},
        "reference": {"artifact": model, "sets": 0, "inputs": "none", "title": "fake"},
        "parity": {"outputs": [], "worst": "", "passed": True, "tolerance": 1.0, "inputs": "none", "reference": "fake"},
        "measure": {
            **{"latency": latency, "throughput": 1.0, "load_ms": 1.0, "first_ms": 1.0, "shapes": {}, "protocol": {}},
            **{"peak_memory_bytes": 1, "baseline_memory_bytes": 1},
        },
    }
    return known.get(stage, prepared)


def run(stage: str, folder: str) -> None:
    with open(f"{folder}/request.json") as file:
        request = json.load(file)
    key = os.path.basename(folder)
    hold(key)
    if device := device_in_use():
        hold(device)
    write(event="start", key=key, stage=stage)
    print(f"stage {stage} of {key[:8]}", flush=True)
    time.sleep(float(read(f"{home}/seconds", "0.02")))
    if script := read(f"{home}/behaviour/{request['seed']}{'' if stage == 'build' else '.' + stage}", ""):
        exec(script, {"stage": stage, "folder": folder, "say": say, "write": write})  # noqa: S102
    with open(f"{folder}/{stage}.json.partial", "w") as file:
        json.dump(result(stage, request["model"]), file)
    os.replace(f"{folder}/{stage}.json.partial", f"{folder}/{stage}.json")
    write(event="end", key=key, stage=stage)
    say(answer=None)


request = json.loads(sys.stdin.readline())
if arguments[2] == "core.stages.toolchains:describe":
    describe()
else:
    run(request["stage"], request["folder"])
