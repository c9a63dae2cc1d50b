"""`submit`, `run`, `jobs`, `log`, `cancel`, `retry`, `worker`, `workers`, `gc`: what is done in the background, on any host."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from core.analysis.summary import NOT_RUN
from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.units import seconds, size
from core.base.visible import visible_lines
from core.benchmark.machine import memory_limit
from core.cli.models import AsJson, ModelArgument, stored_model
from core.cli.options import with_options
from core.cli.output import print_json, print_table, stderr, stdout
from core.cli.requests import Force, RequestOptions, RunElsewhere, make_request
from core.jobs.device import parse_device
from core.jobs.job import Answer, Job, Priority, Submitted
from core.jobs.queue import Queue
from core.jobs.start import WorkerOptions, become_worker
from core.jobs.supervisor import StageLimits
from core.stages.toolchains import parse_toolchain
from core.storage.housekeeping import collect
from core.storage.store import store_named
from core.storage.workspace import default_workspace

FOLLOW_SECONDS = 0.5
UNTOLD = "not known"

Database = Annotated[
    str | None,
    typer.Option(
        "--database", envvar="ENGINEROOM_DATABASE", help="postgresql://user@host/name; SQLite in the workspace by default."
    ),
]
Store = Annotated[
    str | None,
    typer.Option("--store", envvar="ENGINEROOM_STORE", help="Shared store for several hosts: a folder or s3://bucket/prefix."),
]
PriorityName = Annotated[str, typer.Option("--priority", help="high, normal or low.")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, or its beginning: see `engineroom jobs`.")]


def register(app: typer.Typer) -> None:
    app.command("submit")(submit_command)
    app.command("run")(run_command)
    app.command("jobs")(jobs_command)
    app.command("log")(log_command)
    app.command("cancel")(cancel_command)
    app.command("retry")(retry_command)
    app.command("worker")(worker_command)
    app.command("workers")(workers_command)
    app.command("gc")(gc_command)


def _queue(database: str | None, store: str | None = None) -> Queue:
    return Queue(default_workspace(), database, store)


@with_options
def submit_command(
    model: ModelArgument,
    path: Annotated[list[str], typer.Option("--path", "-p", help="Which path, as `engineroom paths` lists them (repeatable).")],
    options: RequestOptions,
    precision: Annotated[list[Precision] | None, typer.Option("--precision", help="Repeatable: fp32 when not given.")] = None,
    priority: PriorityName = "normal",
    force: Force = False,
    run_elsewhere: RunElsewhere = False,
    settle: Annotated[
        bool, typer.Option("--settle", help="Hold the engines head to head once all are built, to settle which is fastest.")
    ] = False,
    database: Database = None,
    store: Store = None,
    json: AsJson = False,
) -> None:
    """Queue builds for a worker: every path in every precision given."""
    rank = priority_named(priority)
    queue = _queue(database, store)
    found = stored_model(queue.workspace, model)
    requests = [
        make_request(queue.workspace, found, one_path, one_precision, options, here=False)
        for one_path in path
        for one_precision in precision or [Precision.FP32]
    ]
    answers = queue.submit_all(requests, priority=rank, force=force, run_elsewhere=run_elsewhere, settle=settle)
    if json:
        print_json(answers)
    else:
        show_submitted(answers)


def run_command(
    build: Annotated[str, typer.Argument(help="Key of a build, or its beginning; `engineroom builds` lists them.")],
    priority: PriorityName = "normal",
    again: Annotated[
        bool, typer.Option("--again", help="Only measure it again, on the device that its figures are from, wherever that is.")
    ] = False,
    database: Database = None,
    store: Store = None,
    json: AsJson = False,
) -> None:
    """Queue the run of an engine where it can, on a worker that has what it runs on: layer times, parity and latency."""
    queue, rank = _queue(database, store), priority_named(priority)
    answer = queue.measure(build, priority=rank) if again else queue.run(build, priority=rank)
    if json:
        print_json(answer)
    else:
        show_submitted([answer])


def priority_named(name: str) -> Priority:
    if name.upper() not in Priority.__members__:
        raise InvalidRequest(f"{name!r} is no priority.", hint="Choose high, normal or low.")
    return Priority[name.upper()]


def show_submitted(answers: Sequence[Submitted]) -> None:
    """What became of what was submitted, a line each."""
    for answer in answers:
        words = {
            Answer.QUEUED: f"job {answer.job} is queued",
            Answer.JOINED: f"job {answer.job} is at it already",
            Answer.STORED: f"{answer.key[:12]} is there already",
        }
        stdout.print(words[answer.answer], highlight=False, markup=False)
    for note in dict.fromkeys(answer.note for answer in answers if answer.note):
        stderr.print(note, style="yellow", highlight=False, markup=False)


def jobs_command(
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many of the newest.")] = 20,
    database: Database = None,
    json: AsJson = False,
) -> None:
    """List the newest jobs: what runs, what waits, how the others ended."""
    found = _queue(database).jobs(limit=limit)
    if json:
        print_json(found)
        return
    columns = ["job", "kind", "model", "path", "precision", "state", "stage", "left", "submitted"]
    print_table("", columns, [_row(job) for job in found], numbers=["left"])


def _row(job: Job) -> tuple[object, ...]:
    stage = next((record.stage.value for record in job.stages if record.state.value == "running"), None)
    if job.can_retry and job.error:
        stage = job.error.message
    elif job.progress:
        stage = job.progress.message
    elif job.waits_for:
        stage = f"waits for {job.waits_for}"
    elif job.waits_on:
        stage = f"waiting for {job.waits_on}"
    left = job.left or (None if job.state.finished or job.remaining_range else UNTOLD)
    submitted = time.strftime("%d %b %H:%M", time.localtime(job.submitted_at))
    state = f"{job.state.value}, {NOT_RUN}" if job.not_run else job.state.value
    path, precision = job.request.path, job.request.precision.value
    kind = "measure" if job.measures_again else job.kind.value
    if job.duel:
        path, precision = f"{len(job.duel.keys)} engines head to head", None
    return job.id, kind, job.model_name, path, precision, state, stage, left, submitted


def log_command(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    database: Database = None,
) -> None:
    """Print what a job has logged."""
    queue = _queue(database)
    offset = 0
    while True:
        new = queue.log(job, offset)
        sys.stdout.write(visible_lines(new.text) if sys.stdout.isatty() else new.text)
        sys.stdout.flush()
        offset = new.offset
        if new.finished or not follow:
            break
        time.sleep(FOLLOW_SECONDS)
    if follow:
        found = queue.job(job)
        reason = f": {found.error.message}" if found.error else ""
        stderr.print(f"job {found.id} is {found.state.value}{reason}", highlight=False, markup=False)


def cancel_command(job: JobArgument, database: Database = None) -> None:
    """Take a queued job out, or end a running one."""
    found = _queue(database).cancel(job)
    stdout.print(f"job {found.id} is {found.state.value}", highlight=False)


def retry_command(job: JobArgument, database: Database = None, store: Store = None) -> None:
    """Queue a failed or cancelled job's request again."""
    answer = _queue(database, store).retry(job)
    stdout.print(f"job {answer.job} is queued", highlight=False)
    if answer.note:
        stderr.print(answer.note, style="yellow", highlight=False, markup=False)


def worker_command(
    device: Annotated[str, typer.Option("--device", help="The one device to work on: cpu, cuda, cuda:1.")] = "cpu",
    toolchain: Annotated[
        list[str] | None,
        typer.Option("--toolchain", help="Another interpreter for stages: tftrt=/path/to/python3.10 (repeatable)."),
    ] = None,
    time_limit: Annotated[float, typer.Option("--time-limit", min=1, help="Seconds that one stage may take.")] = 3600.0,
    memory_limit_gb: Annotated[
        float | None,
        typer.Option("--memory-limit", min=0.1, help="GB that one stage may use; 80 % of this host's when not given."),
    ] = None,
    lease: Annotated[float, typer.Option("--lease", min=1, help="Seconds; the same for all workers of a database.")] = 10.0,
    database: Database = None,
    store: Store = None,
) -> None:
    """Carry out queued builds until told to stop."""
    memory = int(memory_limit_gb * 1e9) if memory_limit_gb else int(memory_limit() * 0.8)
    options = WorkerOptions(
        workspace=default_workspace(),
        device=parse_device(device),
        limits=StageLimits(time_seconds=time_limit, memory_bytes=memory),
        database=database,
        store=store,
        toolchains=[parse_toolchain(text) for text in toolchain or []],
        lease_seconds=lease,
    )
    become_worker(options)


def workers_command(database: Database = None, json: AsJson = False) -> None:
    """List the workers: host, device, toolchains, sign of life."""
    found = _queue(database).workers()
    if json:
        print_json(found)
        return
    rows = [
        (
            worker.card.host,
            worker.card.device,
            worker.card.device_name,
            worker.card.capability,
            ", ".join(f"{chain.name} ({chain.version})" for chain in worker.card.toolchains),
            f"{seconds(worker.beat_age_seconds)} ago" if worker.alive else "dead",
            worker.job,
        )
        for worker in found
    ]
    print_table("", ["host", "device", "name", "capability", "toolchains", "sign of life", "job"], rows)


def gc_command(
    quota: Annotated[
        float | None, typer.Option("--quota", min=0, help="GB: delete the oldest builds until the rest fits.")
    ] = None,
    store: Store = None,
    json: AsJson = False,
) -> None:
    """Give space back: partial work, artifacts that no build uses, and with --quota the oldest builds."""
    done = collect(default_workspace(), quota_bytes=int(quota * 1e9) if quota is not None else None)
    shared = store_named(store)
    swept = shared.sweep() if shared else None
    if json:
        print(json_module.dumps({"freed_bytes": done.freed_bytes, "deleted": done.deleted, "store_freed_bytes": swept}))
        return
    for text in done.deleted:
        stdout.print(text, highlight=False, markup=False)
    stdout.print(f"{size(done.freed_bytes)} freed", highlight=False)
    if swept is not None:
        stdout.print(f"{size(swept)} freed in the store", highlight=False)
