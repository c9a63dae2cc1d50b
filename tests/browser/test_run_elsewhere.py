"""An engine that does not run where it was built is run where it can, from the button to its figures, on a pretended GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from bench.driver import start_server, stop, visit
from tests.integration.jobs.ahead_hosts import Hosts, hosts_with_ahead

pytestmark = pytest.mark.browser
WHERE = "a GPU of compute capability 8.6 (RTX 30, A10) or 8.9 (RTX 40, L4)"
RUN_MILLISECONDS = 60_000


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with hosts_with_ahead(tmp_path_factory.mktemp("hosts")) as made:
        yield made


@pytest.fixture(scope="module")
def url(hosts: Hosts) -> Iterator[str]:
    """Of the dashboard's host."""
    own = hosts.environment("desk")
    server, url = start_server(hosts.queue.workspace, hosts.folder / "server.log", cwd=hosts.folder, **own)
    yield url
    stop(server)


def test_from_the_button_to_the_figures(hosts: Hosts, url: str, new_page: Callable[..., Page]) -> None:
    page = new_page()
    key = hosts.built()
    visit(page, f"{url}/engine?build={key}")
    expect(page.get_by_text(f"Not run yet. It runs on {WHERE}.")).to_be_visible()
    expect(page.get_by_text("No worker for cuda is running. A run that is asked for waits for a GPU worker")).to_be_visible()
    page.get_by_role("button", name="Run where it can").click()
    expect(page.get_by_text("Its run where it can")).to_be_visible()

    hosts.start("h100-host", "cuda", ("NVIDIA H100", "9.0"))
    expect(page.get_by_text("None of the workers that are running can: NVIDIA H100")).to_be_visible(timeout=RUN_MILLISECONDS)
    hosts.start("l4-host", "cuda:1", ("NVIDIA L4", "8.9"))
    expect(page.get_by_text("Run on NVIDIA L4 (cuda:1, compute capability 8.9)")).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_text("not run here")).to_have_count(0)
    expect(page.get_by_text("on par").first).to_be_visible()
    expect(page.get_by_role("button", name="Run again")).to_be_visible()


def test_a_run_that_failed_is_told_and_tried_again(hosts: Hosts, url: str, new_page: Callable[..., Page]) -> None:
    page = new_page()
    hosts.start("l4-host", "cuda:1", ("NVIDIA L4", "8.9"))
    key = hosts.built(seed=1)
    hosts.mood.touch()
    visit(page, f"{url}/engine?build={key}")
    page.get_by_role("button", name="Run where it can").click()
    expect(page.get_by_text("The last run failed: The engine cannot run on this GPU. Use another.")).to_be_visible(
        timeout=RUN_MILLISECONDS
    )
    hosts.mood.unlink()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Run on NVIDIA L4 (cuda:1, compute capability 8.9)")).to_be_visible(timeout=RUN_MILLISECONDS)
