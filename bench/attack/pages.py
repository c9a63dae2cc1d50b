"""Names in a model that are made to be taken for markup: every page is opened in a browser, without its content policy."""

from __future__ import annotations

from playwright.sync_api import sync_playwright

from bench.attack.attempt import Attack, Tries
from bench.attack.hostile_names import NAMES, hostile_model
from bench.attack.instance import Instance
from bench.driver import CHROMIUM, is_local
from core.benchmark.measurement import Protocol
from core.intake.add_model import add_model
from core.request.build_request import BuildRequest, checked
from core.stages.pipeline import run_build

SECTIONS = ("Fused layers", "Source nodes", "Findings", "Precision", "Measurement", "Parity", "Build")
FOUND = """() => [
  ...(window.hostile === undefined ? [] : ["a name ran as a program"]),
  ...[...document.images].map((one) => one.src).filter((url) => url && !url.startsWith(origin) && !url.startsWith("data:")),
  ...[...document.querySelectorAll("a")].map((one) => one.href).filter((url) => url && !url.startsWith(origin)),
  ...[...document.querySelectorAll("[data-testid=stMain] :is(del, iframe, script, [onerror])")].map((one) => one.outerHTML),
]"""


def names(instance: Instance, tries: Tries) -> None:
    model = add_model(hostile_model(instance.home / "m.onnx"), instance.workspace, name="".join(NAMES[:9]))
    quick = Protocol(min_seconds=0.1, warmup_seconds=0.02)
    request = checked(BuildRequest(model=model.digest, path="onnx.onnxruntime", protocol=quick), model, here=False)
    build = run_build(instance.workspace, request, on_change=lambda *_: None)
    paths = ["/", "/model", "/jobs", "/system", "/engine", f"/compare?builds={build.key},{build.key}"]
    paths += [f"/{page}?model={model.digest}" for page in ("model", "build", "compare")]
    paths += [f"/engine?build={build.key}&section={section}" for section in SECTIONS]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(base_url=instance.url, bypass_csp=True).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for path in paths:
            page.goto(path)
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            page.wait_for_timeout(1500)
            found = page.evaluate(FOUND)
            outside = [url for url in asked if not is_local(url) or url.startswith("http://127.0.0.1:9/")]
            tries.hold(not found and not outside, f"{path[:60]}: {found or outside}")
            asked.clear()
        browser.close()


ATTACKS = (Attack(name="names full of markup, on every page in a browser", run=names),)
