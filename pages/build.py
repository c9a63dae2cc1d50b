"""Build: choose a model, paths and precisions, and queue one build or a whole sweep."""

from __future__ import annotations

import streamlit as st

from core.analysis.targets import device_types, path_choices
from core.base.errors import EngineRoomError
from core.jobs.job import Priority
from core.precision.settings import PrecisionSettings
from core.request.build_request import BuildRequest, checked
from core.request.commands import sweep_command_for
from dashboard import links, services
from dashboard.components.build_options import choose_options, choose_profile, choose_protocol
from dashboard.components.build_result import show_submitted
from dashboard.components.data_uploader import data_uploader
from dashboard.components.model_picker import choose_model
from dashboard.components.path_board import choose_paths
from dashboard.components.precision_options import choose_lowering
from dashboard.failures import show_error
from dashboard.formatting import visible

st.title("Build")
model = choose_model()
if model is None:
    st.stop()

queue = services.queue()
workers = queue.workers()
first, second = st.columns(2)
device = first.selectbox("Device", device_types(workers), help="Jobs wait for a worker of this device type.")
signature_name = second.selectbox(
    "Signature", [s.name for s in model.signatures], format_func=visible, help="Which callable of the model."
)
signature = model.signature(signature_name)
key = f"{model.digest}-{device}-{signature_name}"

choices = path_choices(model, device, workers, signature_name)
if not any(choice.possible for choice in choices):
    st.warning("No worker that is running can build this model.", icon=":material/warning:")
    links.link(links.SYSTEM, "See what is missing", icon=":material/monitor_heart:")
chosen = choose_paths(choices, key)
quantized = any(precision.quantizes for _, precision in chosen)

try:
    with st.expander("Shapes", expanded=bool(signature.symbols)):
        profile = choose_profile(signature, key)
    with st.expander("Data", expanded=quantized):
        inputs = data_uploader(
            "Inputs for parity, .npz", "Keyed by input name; an array named labels gives the accuracy.", f"{key}-inputs"
        )
        calibration = data_uploader(
            "Calibration data, .npz",
            "100 to 500 samples: ranges for INT8 and FP8, a check of the range for FP16 and BF16.",
            f"{key}-calibration",
        )
        if quantized and not calibration:
            st.warning("Without calibration data, INT8 and FP8 engines are stamped “uncalibrated, do not deploy”.")
    lowering = PrecisionSettings()
    if any(precision.in_graph for _, precision in chosen):
        with st.expander("Precision"):
            lowering = choose_lowering(key)
    with st.expander("Measuring"):
        protocol, threads = choose_protocol(key)
    options = choose_options((choice.path.backend for choice, _ in chosen), key)
    requests = [
        checked(
            BuildRequest(
                model=model.digest,
                path=choice.path.id,
                precision=precision,
                signature=signature.name,
                profile=profile,
                options=options.get(choice.path.backend, {}),
                lowering=lowering if precision.in_graph else PrecisionSettings(),
                calibration=calibration if precision.in_graph else None,
                inputs=inputs,
                device=device,
                threads=threads,
                protocol=protocol,
            ),
            model,
            here=False,
        )
        for choice, precision in chosen
    ]
except EngineRoomError as error:
    show_error(error)
    st.stop()

if not requests:
    st.info("Check at least one box above to build something.", icon=":material/check_box:")
    st.stop()

elsewhere = any(choice.not_run for choice, _ in chosen) and st.checkbox(
    "Run elsewhere what does not run where it is built",
    key=f"{key}-run-elsewhere",
    help="A job of its own runs the engine on a worker that can, as soon as there is one: layer times, parity and latency.",
)
settle = len(requests) > 1 and st.checkbox(
    "Settle which is fastest when all are built",
    key=f"{key}-settle",
    help="A job of its own then holds their engines head to head. Measured apart, only large differences are told.",
)
with st.expander("The same on the command line"):
    commands = sweep_command_for(requests, services.workspace().data_path)
    also = f"{' --run-elsewhere' if elsewhere else ''}{' --settle' if settle and len(commands) == 1 else ''}"
    lines = (f"{command}{also}" for command in commands)
    st.code("\n".join(lines), language=None, wrap_lines=True)

count = "1 build" if len(requests) == 1 else f"{len(requests)} builds"
again, urgent, start = st.columns([2, 2, 1], vertical_alignment="center")
force = again.checkbox("Build again although it was built before", key=f"{key}-force")
high = urgent.checkbox("Before the others in the queue", key=f"{key}-priority")
if start.button(f"Queue {count}", type="primary", width="stretch", icon=":material/play_arrow:"):
    rank = Priority.HIGH if high else Priority.NORMAL
    submitted = queue.submit_all(requests, priority=rank, force=force, run_elsewhere=elsewhere, settle=settle)
    show_submitted(submitted, requests, model)
