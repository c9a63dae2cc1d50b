"""Jobs: what can be done with one, and where its links lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from bench.stored_builds import store_build
from core.intake.add_model import add_model
from core.jobs.job import Submitted
from core.models.model import Model
from core.request.build_request import BuildRequest
from core.storage.workspace import Workspace
from dashboard import links, services
from sample_models.make_models import sample
from tests.pages.conftest import OpenPage, text_of

PATH = "savedmodel.tensorflow.signature"


def cancelled(model: Model, seed: int) -> str:
    queue = services.queue()
    job = queue.submit(BuildRequest(model=model.digest, path=PATH, seed=seed)).job
    assert job
    queue.cancel(job)
    return job


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def test_a_retry_shows_the_new_job(open_page: OpenPage, digits: Model) -> None:
    job = cancelled(digits, 1)
    app = press(open_page(links.JOBS, job=job), "Retry")
    assert not app.exception
    shown = "".join(app.query_params["job"])
    assert shown != job
    assert f"Job {shown}" in text_of(app)
    assert "is queued" in app.toast[0].value


def test_the_note_of_a_retry_is_shown_as_text(open_page: OpenPage, digits: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may name what a worker or a runtime tells."""
    job, kind = cancelled(digits, 51), type(services.queue())
    retry: Callable[[object, str], Submitted] = kind.retry
    note = "No worker has ![x](http://127.0.0.1:9/x.png): start one with `engineroom worker`."
    monkeypatch.setattr(kind, "retry", lambda queue, number: replace(retry(queue, number), note=note))
    told = press(open_page(links.JOBS, job=job), "Retry").toast[0].value
    assert "`engineroom worker`" in told
    assert "![x]" not in told
    assert r"\!\[x\]" in told


def test_a_retry_of_what_was_built_since_says_so_and_shows_it(open_page: OpenPage, workspace: Workspace, digits: Model) -> None:
    job = cancelled(digits, 2)
    store_build(workspace, services.queue().job(job).request, median_ms=1.0)
    app = press(open_page(links.JOBS, job=job), "Retry")
    assert not app.exception
    assert [title.value for title in app.title] == ["digits: TensorFlow, as loaded"]
    assert "was built before; nothing needs to run" in app.toast[0].value


def test_a_job_of_a_deleted_model_has_no_dead_links(open_page: OpenPage, workspace: Workspace) -> None:
    model = add_model(sample("two_signatures"), workspace)
    job = cancelled(model, 3)
    services.queue().delete_model(model.digest)
    app = open_page(links.JOBS, job=job)
    assert not app.exception
    assert "Its model is not stored here any more." in text_of(app)
    assert not [link for link in app.get("page_link") if model.digest in link.proto.query_string]


def test_only_a_build_that_is_there_is_linked(workspace: Workspace, digits: Model) -> None:
    key = store_build(workspace, BuildRequest(model=digits.digest, path=PATH, seed=4), median_ms=1.0)
    assert services.may_have_build(key)
    services.queue().delete_build(key)
    assert not services.may_have_build(key)


def test_a_revision_changes_with_the_jobs_and_not_without(digits: Model) -> None:
    queue = services.queue()
    before = queue.revision()
    assert queue.revision() == before
    job = queue.submit(BuildRequest(model=digits.digest, path=PATH, seed=6)).job
    queued = queue.revision()
    assert queued != before
    queue.cancel(job or "")
    assert queue.revision() not in (queued, before)


def test_jobs_that_wait_count_as_not_finished(open_page: OpenPage, digits: Model) -> None:
    before = len(services.queue().jobs(states=("queued",)))  # type: ignore[arg-type]
    services.queue().submit(BuildRequest(model=digits.digest, path=PATH, seed=5))
    assert f"Not finished yet: {before + 1} build" in text_of(open_page(links.COMPARE, model=digits.digest))


def test_a_step_back_takes_the_widget_along() -> None:
    def page() -> None:
        import streamlit as st

        from dashboard import links

        keep = links.follow("contexts", "n", links.position("contexts", 99) or 1)
        st.number_input("Contexts", 1, 99, key="n", on_change=keep)

    app = AppTest.from_function(page).run()
    app.number_input[0].set_value(4).run()
    assert "".join(app.query_params["contexts"]) == "4"
    app.number_input[0].set_value(8).run()
    app.query_params["contexts"] = "4"
    assert app.run().number_input[0].value == 4
