"""What a profile costs: builds that differ in their shapes alone, and the same build queued at more lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from core.analysis.memory import told
from core.analysis.memory_data import curves
from core.analysis.profiles import ProfilePoint, at_length, growth_text, offered_lengths, same_but_shapes
from core.backends.base import backend_named
from core.base.errors import EngineRoomError
from core.base.units import UNKNOWN, digest, plural
from core.jobs.job import Job, JobState
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome
from dashboard import links, services
from dashboard.charts.memory import curve_figure
from dashboard.components.beside import beside, memory_of
from dashboard.components.chart import show_chart
from dashboard.components.tables import table_height
from dashboard.failures import show_error
from dashboard.formatting import plain, sentence

REFRESH_SECONDS = 2.0
HEIGHT = 320
STREAMS = "aux_streams"


def profiles_section(outcome: Outcome, *, several_streams: bool) -> None:
    """Follows the queue for as long as it makes such a build."""
    request = outcome.build.request
    st.header("What a profile costs")
    if not request.profile.axes:
        st.caption("All axes of this model are fixed, so its engines have but one size.")
    else:
        st.caption(
            "An engine takes activations for the largest shapes that its profile allows, whatever it then runs at. These builds "
            "differ in their profiles alone."
        )
    pending = _pending(request)
    st.fragment(_profiles, run_every=REFRESH_SECONDS if pending else None)(outcome, several_streams=several_streams)


def _pending(request: BuildRequest) -> list[Job]:
    """The jobs that make the same build with other profiles, or on one stream."""
    alike = [same_but_shapes(one) for one in (request, _on_one_stream(request))]
    try:
        jobs = services.queue().jobs(states=(JobState.QUEUED, JobState.RUNNING))
    except EngineRoomError as error:
        show_error(error)
        return []
    return [job for job in jobs if same_but_shapes(job.request) in alike]


def _profiles(outcome: Outcome, *, several_streams: bool) -> None:
    request = outcome.build.request
    pending = _pending(request)
    if not pending and st.session_state.get(_watching(request)):
        st.session_state[_watching(request)] = False
        st.rerun()
    st.session_state[_watching(request)] = bool(pending)
    if request.profile.axes:
        found = curves(request, beside(request))
        axes = list(found)
        axis = axes[0] if len(axes) == 1 else _axis(request, axes)
        _curve(found[axis], axis)
        _offer(request, axis, found[axis])
    if several_streams:
        _one_stream(outcome)
    if pending:
        st.info(f"Being built: {plural(len(pending), 'build')}. What they take appears here.", icon=":material/pending:")
        links.link(links.JOBS, "Follow the jobs", icon=":material/schedule:")


def _watching(request: BuildRequest) -> str:
    return f"watching-{request.key}"


def _axis(request: BuildRequest, axes: Sequence[str]) -> str:
    chosen = st.segmented_control(
        "Along", axes, default=axes[0], required=True, format_func=plain, key=f"profile-axis-{request.key}"
    )
    others = plain(", ".join(name for name in axes if name != chosen))
    st.caption(f"Only builds that are as large as this one in {others}.")
    return chosen or axes[0]


def _curve(points: Sequence[ProfilePoint], axis: str) -> None:
    chosen = next(point for point in points if point.is_chosen)
    if len({point.length for point in points if point.activation_bytes is not None}) < 2:
        st.caption(f"So far only one length of {plain(axis)} was built: {chosen.length:,}.")
    else:
        left, right = st.columns([3, 2], gap="large")
        with left:
            show_chart(
                curve_figure(points, axis),
                f"profile-{axis}-{digest(chosen.key)}",
                f"Memory by the largest {axis}. The table beside it has the same figures.",
            )
        with right:
            st.dataframe(
                curve_frame(points, axis),
                hide_index=True,
                placeholder=UNKNOWN,
                height=table_height(len(points), HEIGHT),
                column_config={"Build": st.column_config.LinkColumn(display_text=r"build=(.{12})")},
                alt=f"Memory by the largest {axis}",
            )
            st.caption(plain(growth_text(points, axis)))


def curve_frame(points: Sequence[ProfilePoint], axis: str) -> pd.DataFrame:
    """The builds of a curve as a table."""
    return pd.DataFrame(
        {
            f"Largest {axis}": [point.length for point in points],
            "Profile": [point.text + (" (this build)" if point.is_chosen else "") for point in points],
            "Activations": [told(point.activation_bytes) for point in points],
            "With weights": [told(point.memory.device_bytes(1) if point.memory else None) for point in points],
            "Build": [links.url(links.ENGINE, build=point.key, section="Memory") for point in points],
        }
    )


def _offer(request: BuildRequest, axis: str, points: Sequence[ProfilePoint]) -> None:
    """The same build at more lengths."""
    lengths = offered_lengths(request, axis, (point.length for point in points))
    key = f"offered-{axis}-{request.key}"
    chosen = st.pills(
        f"The same build at a largest {plain(axis)} of",
        lengths,
        selection_mode="multi",
        format_func=lambda length: f"{length:,}",
        key=key,
        help="Each is a whole build, measured where it runs.",
    )
    old = request.profile.axes[axis]
    alone = st.segmented_control(
        "Built for",
        [False, True],
        default=False,
        required=True,
        format_func=lambda only: "that length alone" if only else f"all from {old.min:,}, usually {old.opt:,}",
        help="For one length alone an engine tells the bytes that each layer moves. Builds with the same usual length share the "
        "graph in its precision, so only the engine is made anew.",
        key=f"{key}-alone",
    )
    if st.button(
        f"Queue {plural(len(chosen), 'build')}" if chosen else "Queue builds",
        disabled=not chosen,
        icon=":material/play_arrow:",
        key=f"{key}-go",
    ):
        _queue([at_length(request, axis, length, alone=bool(alone)) for length in sorted(chosen)])


def _queue(requests: Sequence[BuildRequest]) -> None:
    try:
        submitted = services.queue().submit_all(requests)
    except EngineRoomError as error:
        show_error(error)
        return
    for note in dict.fromkeys(answer.note for answer in submitted if answer.note):
        st.toast(sentence(note), icon=":material/warning:")
    st.rerun()


def _on_one_stream(request: BuildRequest) -> BuildRequest:
    return replace(request, options=dict(sorted({**request.options, STREAMS: 0}.items())))


def _one_stream(outcome: Outcome) -> None:
    """What running layers at the same time costs: the same build on one stream."""
    request = outcome.build.request
    single = _on_one_stream(request)
    if STREAMS not in {option.name for option in backend_named(request.backend).options} or single.key == request.key:
        return
    memory, own = memory_of(single.key) if _stored(single.key) else None, memory_of(request.key)
    st.markdown("**What the streams cost**")
    with st.container(horizontal=True, vertical_alignment="center"):
        if memory and own:
            st.markdown(
                f"With `{STREAMS}=0`, on one stream, the activations are {told(memory.activation_bytes)}; here they are "
                f"{told(own.activation_bytes)}."
            )
            links.link(links.ENGINE, "Open it", icon=":material/memory:", build=single.key)
        else:
            st.markdown("Layers that run at the same time share no memory. On one stream the engine may take less.")
            if st.button("Queue it on one stream", icon=":material/play_arrow:", key=f"one-stream-{request.key}"):
                _queue([single])


def _stored(key: str) -> bool:
    return services.workspace().build_folder(key).exists()
