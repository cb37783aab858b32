"""The example page in a real browser: another origin, a stream that breaks, a film that plays."""

import os
import re
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from filmgate.client import Filmgate
from tests.e2e.proxy import Proxy
from tests.e2e.service import Service, serving

ROOT = Path(__file__).parents[2]
SOON_MS = 60_000
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

if BROWSER is None and os.environ.get("FILMGATE_REQUIRE_BROWSER"):
    pytest.fail("FILMGATE_REQUIRE_BROWSER is set, and there is no chromium", pytrace=False)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no chromium here: apt-get install chromium")


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("browser") / "data") as service:
        yield service


@pytest.fixture(name="key", scope="module")
def _key(service: Service) -> str:
    return service.new_key(credits_=100)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(name="site", scope="module")
def _site() -> Iterator[str]:
    """Serve the page from an origin of its own, as a web site would."""
    handler = partial(Quiet, directory=ROOT / "examples/page")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(name="page")
def _page(site: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        # As root, Chromium cannot build its own sandbox; the page is ours.
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(site)
        yield page
        browser.close()
        assert not wrong


def ask_for(page: Page, server: str, key: str, model: str, prompt: str) -> None:
    page.get_by_label("Server").fill(server)
    page.get_by_label("API key").fill(key)
    page.get_by_label("Model").select_option(model)
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_role("button", name="Make it").click()


def test_a_page_of_another_origin_plays_what_was_made(service: Service, key: str, page: Page) -> None:
    ask_for(page, service.url, key, "studio", "A lighthouse on a cliff at sunset, waves below")

    video = page.locator("video")
    expect(video).to_have_attribute("src", re.compile(f"^{re.escape(service.url)}/files/"), timeout=SOON_MS)
    page.wait_for_function(
        "() => { const video = document.querySelector('video');"
        " return video.readyState >= 2 && video.currentTime > 0.3; }",
        timeout=SOON_MS,
    )

    seen = video.evaluate("(video) => [video.videoWidth, video.videoHeight, Math.round(video.duration)]")
    assert seen == [854, 480, 4]
    if shots := os.environ.get("FILMGATE_TEST_SHOTS"):
        page.screenshot(path=Path(shots, "playing.png"), full_page=True)


def test_a_stream_that_breaks_is_taken_up_without_a_gap(service: Service, key: str, page: Page) -> None:
    with Proxy(service.port) as proxy, Filmgate(service.url, key) as client:
        ask_for(page, proxy.url, key, "sandbox", "a cat #slow=5")
        expect(page.locator("#events li.progress")).to_have_count(2, timeout=SOON_MS)
        proxy.cut()
        expect(page.locator("#events li.link")).to_have_count(1, timeout=SOON_MS)
        expect(page.locator("#events")).to_contain_text("completed", timeout=SOON_MS)

        shown = page.locator("#events li:not(.link) span:first-child").all_inner_texts()
        whole = [event.id for event in client.stream(next(client.list()))]

    assert shown == whole
    if shots := os.environ.get("FILMGATE_TEST_SHOTS"):
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=Path(shots, "reconnected.png"), full_page=True)


def test_a_refusal_is_shown_to_whoever_asked(service: Service, page: Page) -> None:
    ask_for(page, service.url, "fg_test_nobody", "sandbox", "a cat")

    expect(page.get_by_role("status")).to_contain_text("API key", timeout=SOON_MS)
    expect(page.get_by_role("button")).to_be_enabled()
