"""Pages in a headless Chromium, as people see them. Without Chromium or Playwright, the tests are skipped.

A test takes the fixture ``chromium``, and opens a page with ``visit``:

    with visit(chromium, path, width=400, scheme="dark") as page:
        assert find_faults(page) == []
"""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.versions import ROOT

_SERVERS = ROOT / "tests/.servers"
_AXE = _SERVERS / "axe/node_modules/axe-core/axe.min.js"
# The widths of a phone and of a desktop, in CSS pixels.
PHONE, DESKTOP = 400, 1280
SCHEMES = ("light", "dark")

# Texts with a sign that is not on the line of its amount.
_TORN_SIGNS = """() => {
  const torn = [], walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  const range = document.createRange(), top = (node, at) => {
    range.setStart(node, at); range.setEnd(node, at + 1);
    return Math.round(range.getBoundingClientRect().top);
  };
  while (walker.nextNode()) {
    const node = walker.currentNode;
    for (const match of node.data.matchAll(/[−+]\\u2060?\\$?[\\d.]/g)) {
      if (top(node, match.index) !== top(node, match.index + match[0].length - 1)) torn.push(node.data);
    }
  }
  return torn;
}"""

# Elements that are wider than the page, or that cut their content without a shaded edge.
_CUT = """() => {
  const cut = [], shown = document.documentElement.clientWidth;
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect(), scroller = element.closest(".scroll");
    if (!scroller && box.width && box.right > shown + 1) cut.push(element.outerHTML.slice(0, 120));
    if (element.matches(".scroll") && element.scrollWidth > element.clientWidth
        && getComputedStyle(element, "::after").opacity < 0.9) cut.push(element.outerHTML.slice(0, 120));
  }
  return cut;
}"""


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium of the system, driven by Playwright."""
    executable, modules = shutil.which("chromium"), _SERVERS / "pages"
    if executable is None:
        pytest.skip("there is no chromium")
    if not modules.is_dir():
        pytest.skip("there is no Playwright: make servers")
    sys.path.append(str(modules))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # A container has no sandbox, and its /dev/shm may be small.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()
    sys.path.remove(str(modules))


@contextmanager
def visit(chromium, path: Path, *, width: int = DESKTOP, scheme: str = "light", scale: float = 1):
    """Open a page, and check at the end that it reported no error and requested nothing but files."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=scale, offline=True
    )
    page = context.new_page()
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def wait_until(page, expression: str, value: str) -> None:
    """Wait until a JavaScript expression has a value. A click returns before the page has followed a link."""
    page.wait_for_function(f"value => {expression} === value", arg=value)


def find_faults(page) -> list[str]:
    """List the barriers, the torn signs and the cut elements of a page."""
    return [*find_barriers(page), *find_torn_signs(page), *find_cut_elements(page)]


def find_barriers(page) -> list[str]:
    """List what axe-core calls a moderate, serious or critical barrier to people with disabilities."""
    if not _AXE.is_file():
        pytest.skip("there is no axe-core: make servers")
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    violations = page.evaluate("axe.run()")["violations"]
    return [
        f"{violation['impact']} {violation['id']}: {node['html'][:200]}"
        for violation in violations
        if violation["impact"] != "minor"
        for node in violation["nodes"]
    ]


def find_torn_signs(page) -> list[str]:
    """List the texts in which a line ends between a sign and its number."""
    return page.evaluate(_TORN_SIGNS)


def find_cut_elements(page) -> list[str]:
    """List the elements that are cut at the right edge of the page, or of a table, without a cue."""
    return page.evaluate(_CUT)


def save_screenshot(png: bytes, path: Path, colors: int = 32) -> None:
    """Save a screenshot as a small PNG with a palette."""
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(colors, dither=Image.Dither.NONE).save(path, optimize=True)
