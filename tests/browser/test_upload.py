"""Uploads from a real browser: a folder, several files, an archive; broken connections, reloads, what is refused."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from playwright.sync_api import Browser, Page, Request, Route, expect

from bench.driver import Dashboard, start_server, stop, visit
from core.storage.quota import UPLOADS_QUOTA
from core.storage.workspace import Workspace
from sample_models.make_models import sample

pytestmark = pytest.mark.browser


def onnx_model(path: Path, *, features: int = 4, external: str | None = None) -> Path:
    """A MatMul; each number of features makes another model."""
    weights = numpy_helper.from_array(np.arange(features * 3, dtype=np.float32).reshape(features, 3), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if external:
        onnx.save(model, path, save_as_external_data=True, location=external, size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def choose(page: Page, *paths: Path) -> None:
    kind = "folder" if paths[0].is_dir() else "files"
    page.locator(f"input.{kind}").set_input_files([str(path) for path in paths] if kind == "files" else str(paths[0]))


def expect_model(page: Page, name: str) -> None:
    page.wait_for_url("**/model?model=*")
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


def test_a_savedmodel_folder_becomes_a_model_page(page: Page, tmp_path: Path) -> None:
    shutil.copytree(sample("two_signatures"), tmp_path / "my classifier")
    with (tmp_path / "my classifier/fingerprint.pb").open("ab") as file:
        file.write(b"\x98\x3f\x01")  # a field that nobody knows: models of equal content keep their first name
    visit(page)
    choose(page, tmp_path / "my classifier")
    expect_model(page, "my classifier")


def test_onnx_with_its_data_file(page: Page, tmp_path: Path) -> None:
    onnx_model(tmp_path / "net.onnx", features=5, external="net.data")
    visit(page)
    choose(page, tmp_path / "net.onnx", tmp_path / "net.data")
    expect_model(page, "net.onnx")


def test_an_archive(page: Page, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.write(onnx_model(tmp_path / "inner.onnx", features=6), "inner.onnx")
    visit(page)
    choose(page, tmp_path / "packed.zip")
    expect_model(page, "packed.zip")


def test_dropped_folders_are_taken_with_all_that_is_in_them(page: Page) -> None:
    """Chromium gives a test no folder to drop; the component only asks entries for their files, so these stand in."""
    visit(page)
    page.locator(".zone").wait_for()
    found = page.evaluate(
        """async () => {
            const file = (path) => ({
                isFile: true, fullPath: path, file: (done) => done(new File(['x'], path.split('/').pop())),
            });
            const folder = (path, batches) => ({ isFile: false, fullPath: path, createReader: () => {
                const left = [...batches, []];
                return { readEntries: (done) => done(left.shift()) };
            } });
            const top = folder('/m', [[file('/m/saved_model.pb')], [folder('/m/variables', [[file('/m/variables/v.index')]])]]);
            const asked = [];
            const send = XMLHttpRequest.prototype.send;
            XMLHttpRequest.prototype.send = function (body) {
                if (typeof body === 'string') asked.push(body);
                return send.call(this, body);
            };
            const drop = new DragEvent('drop', { bubbles: true, cancelable: true });
            Object.defineProperty(drop, 'dataTransfer', { value: { items: [{ webkitGetAsEntry: () => top }] } });
            const zones = [...document.querySelectorAll('*')].map((element) => element.shadowRoot?.querySelector('.zone'));
            zones.find(Boolean).dispatchEvent(drop);
            await new Promise((resolve) => setTimeout(resolve, 1500));
            XMLHttpRequest.prototype.send = send;
            return JSON.parse(asked[0]).files.map((one) => one.name);
        }"""
    )
    assert found == ["m/saved_model.pb", "m/variables/v.index"]


def test_a_broken_connection_is_waited_out(page: Page, tmp_path: Path) -> None:
    cut = 0

    def break_twice(route: Route) -> None:
        nonlocal cut
        cut += 1
        if cut <= 2:
            route.abort("connectionreset")
        else:
            route.continue_()

    visit(page)
    page.route("**/engine-room/uploads/*/0?offset=*", break_twice)
    choose(page, onnx_model(tmp_path / "cut.onnx", features=7))
    expect(page.locator(".figures")).to_contain_text("The connection is broken. Trying again in")
    page.locator(".hurry").click()
    expect_model(page, "cut.onnx")
    assert cut == 3


def test_a_reload_in_the_middle_goes_on_where_it_was(page: Page, tmp_path: Path) -> None:
    offsets: list[str] = []
    page.on("request", lambda request: offsets.append(request.url.rpartition("=")[2]) if request.method == "PUT" else None)
    path = tmp_path / "large.onnx"
    onnx_model(path, features=8)
    second = tmp_path / "large.bin"  # beside the model, so that there are two slices to interrupt between
    second.write_bytes(b"x" * 1000)
    visit(page)
    page.route("**/engine-room/uploads/*/1?offset=*", lambda route: route.abort("connectionreset"))
    choose(page, path, second)
    expect(page.locator(".figures")).to_contain_text("The connection is broken")
    page.unroute("**/engine-room/uploads/*/1?offset=*")
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.locator(".unfinished-text")).to_contain_text("The upload of 2 files")
    sent = len([url for url in offsets if url == "0"])
    offsets.clear()
    choose(page, path, second)
    expect_model(page, "large.onnx")
    assert sent >= 2
    assert len(offsets) == 1, "only the second file was sent again"


def test_what_is_no_model_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    visit(page)
    choose(page, tmp_path / "notes.txt")
    expect(page.locator(".problem .message")).to_contain_text("notes.txt")
    expect(page.locator(".problem .hint")).to_contain_text("What to do:")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator(".problem")).to_be_hidden()


def test_an_upload_can_be_cancelled(page: Page, tmp_path: Path, dashboard: Dashboard) -> None:
    def hold(route: Route) -> None:
        pass  # until it is cancelled

    visit(page)
    page.route("**/engine-room/uploads/*/0?offset=*", hold)
    choose(page, onnx_model(tmp_path / "held.onnx", features=9))
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    assert "held.onnx" not in [model.name for model in dashboard.workspace.all_models()]


def test_an_upload_outlives_a_look_at_another_page(page: Page, tmp_path: Path, dashboard: Dashboard) -> None:
    held: list[Route] = []
    visit(page)
    page.route("**/engine-room/uploads/*/0?offset=*", lambda route: held.append(route))  # noqa: PLW0108  Playwright marks its handlers
    choose(page, onnx_model(tmp_path / "patient.onnx", features=10))
    expect(page.locator(".going .name")).to_have_text("patient.onnx")
    page.get_by_role("link", name="System").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("System")
    page.get_by_role("link", name="Home").click()
    expect(page.locator(".going .name")).to_have_text("patient.onnx")
    held[0].continue_()
    expect_model(page, "patient.onnx")


def test_two_people_upload_at_once(new_page: Callable[..., Page], tmp_path: Path) -> None:
    first, second = new_page(), new_page()
    for page in (first, second):
        visit(page)
    choose(first, onnx_model(tmp_path / "one.onnx", features=11))
    choose(second, onnx_model(tmp_path / "two.onnx", features=12))
    expect_model(first, "one.onnx")
    expect_model(second, "two.onnx")


def test_a_frozen_graphs_tensors_can_be_named_after_a_refusal(page: Page, tmp_path: Path) -> None:
    """What was refused is read again without being sent again."""
    sent = 0

    def count(request: Request) -> None:
        nonlocal sent
        sent += request.method == "PUT"

    page.on("request", count)
    visit(page)
    page.get_by_text("For a frozen graph").click()
    page.get_by_label("Inputs").fill("x")
    choose(page, onnx_model(tmp_path / "named.onnx", features=13))
    expect(page.locator(".problem .message")).to_contain_text("Tensor names are for frozen graphs alone")
    page.get_by_label("Inputs").fill("")
    page.get_by_role("button", name="Try again").click()
    expect_model(page, "named.onnx")
    assert sent == 1


def test_a_restart_of_the_server_breaks_no_upload(new_page: Callable[..., Page], tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    server, url = start_server(workspace, tmp_path / "server.log")
    page = new_page()
    visit(page, url)
    held: list[Route] = []
    page.route("**/engine-room/uploads/*/0?offset=*", lambda route: held.append(route))  # noqa: PLW0108
    choose(page, onnx_model(tmp_path / "restarted.onnx", features=14))
    page.wait_for_timeout(500)
    stop(server)
    held[0].abort("connectionreset")
    page.unroute("**/engine-room/uploads/*/0?offset=*")
    expect(page.locator(".figures")).to_contain_text("The connection is broken")
    again, _ = start_server(workspace, tmp_path / "server.log", port=int(url.rpartition(":")[2]))
    try:
        page.wait_for_url("**/model?model=*")
        assert [model.name for model in workspace.all_models()] == ["restarted.onnx"]
    finally:
        stop(again)


def test_a_quota_is_told_before_files_are_chosen_and_before_they_are_sent(browser: Browser, tmp_path: Path) -> None:
    own = Workspace(tmp_path / "workspace")
    server, url = start_server(own, tmp_path / "server.log", **{UPLOADS_QUOTA: "0.001"})
    try:
        page = browser.new_page()
        visit(page, url)
        expect(page.locator(".room")).to_have_text("Up to 1.0 MB now.")
        slices: list[str] = []
        page.on("request", lambda request: slices.append(request.url) if request.method == "PUT" else None)
        page.locator("input.files").set_input_files({"name": "a.onnx", "mimeType": "", "buffer": bytes(1_100_000)})
        expect(page.locator(".problem .message")).to_have_text(
            "1.1 MB do not fit: 1.0 MB are left of the 1.0 MB that uploads under way may hold together."
        )
        assert slices == []
        page.close()
    finally:
        stop(server)
