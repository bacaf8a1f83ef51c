"""The page in a real browser: it fits, it is quiet, it works with and without its script, by day and by night."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake import KINDS

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
WIDTHS = (320, 360, 430, 768, 1280)

pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield chromium
        chromium.close()


def opened(context: Any, path: Path) -> tuple[Any, list[str]]:
    """The page, and whatever it complained of or asked for."""
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith("data:") or complaints.append(request.url))
    page.goto(path.as_uri())
    assert complaints.pop(0) == path.as_uri()
    return page, complaints


# What sticks out of the window, other than inside a box that scrolls by itself.
OVERFLOW = """() => [document.documentElement.scrollWidth - innerWidth, ...[...document.querySelectorAll('body *')]
    .filter(e => !e.closest('.wide, svg, .unseen') && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.tagName + '.' + e.className)]"""
PICTURES = (
    "() => [...document.images].map(i => i.complete && i.naturalWidth > 0 && i.clientWidth > 8 && i.clientHeight > 8)"
)
# Words of a drawing that lie over each other: a tick on a tick.
COLLISIONS = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
    const words = [...svg.querySelectorAll('text.tick')].map(t => [t.textContent, t.getBoundingClientRect()]);
    return words.flatMap(([a, r], i) => words.slice(i + 1)
        .filter(([b, s]) => r.left < s.right - 1 && s.left < r.right - 1)
        .filter(([b, s]) => r.top < s.bottom - 2 && s.top < r.bottom - 2)
        .map(([b]) => a + ' over ' + b)); })"""


@pytest.mark.parametrize("kind", [*KINDS, "bare", "comparison"])
def test_a_page_fits_every_screen_and_asks_for_nothing(browser, pages, kind):
    context = browser.new_context()
    page, complaints = opened(context, pages[kind])
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(OVERFLOW) == [0], width
        assert page.evaluate(COLLISIONS) == [], width
    assert all(page.evaluate(PICTURES))
    for details in page.query_selector_all("details"):
        details.evaluate("d => { d.open = true; }")
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate(OVERFLOW) == [0]
    assert complaints == []
    context.close()


def test_the_command_is_copied(browser, pages):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page, _ = opened(context, pages["digits-vae"])
    button = page.locator("#repeat button.copy").first
    button.click()
    page.wait_for_selector("#repeat button.copy:text-is('Copied')")
    command = page.locator("#repeat pre code").first.text_content()
    assert page.evaluate("navigator.clipboard.readText()") == command
    assert command.startswith("bestiary fit digits vae ")
    context.close()


def test_the_command_is_copied_where_the_clipboard_is_refused(browser, pages):
    context = browser.new_context()
    context.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('refused'))")
    page, complaints = opened(context, pages["digits-vae"])
    page.locator("#repeat button.copy").first.click()
    page.wait_for_selector("#repeat button.copy:text-is('Copied')")
    assert page.evaluate("getSelection().toString()").startswith("bestiary fit digits vae ")
    assert complaints == []
    context.close()


def test_a_protocol_opens_by_keyboard(browser, pages):
    context = browser.new_context()
    page, _ = opened(context, pages["digits-vae"])
    summary = page.locator(".number details summary").first
    protocol = page.locator(".number details dl").first
    assert not protocol.is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert protocol.is_visible()
    assert "test" in protocol.inner_text()
    context.close()


def test_without_javascript_everything_but_the_buttons_is_there(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page, complaints = opened(context, pages["digits-vae"])
    assert page.locator("#repeat pre code").first.is_visible()
    assert not page.locator("#repeat button.copy").first.is_visible()
    assert complaints == []
    context.close()


def test_the_page_follows_the_colour_scheme(browser, pages):
    papers = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page, _ = opened(context, pages["digits-vae"])
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        papers[scheme] = sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))
        context.close()
    assert papers["dark"] < 150 < 600 < papers["light"]


def test_the_page_prints(browser, pages):
    context = browser.new_context()
    page, _ = opened(context, pages["digits-vae"])
    page.emulate_media(media="print")
    assert not page.locator("button.copy").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
    context.close()
