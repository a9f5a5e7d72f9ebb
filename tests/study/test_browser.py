"""The report in a browser: nothing is fetched, nothing is wrong, every chart is drawn and fits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphspec.study import report
from graphspec.study.comparison import compare
from graphspec.study.gathering import gather
from tests.study.run_folders import study
from tests.study.test_comparison import CLEAR

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (set CHROMIUM to one)")

DARK_PIXEL = """
async () => {
  const shades = {};
  for (const image of document.images) {
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let drawn = 0;
    for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0;
    shades[image.alt] = drawn / (canvas.width * canvas.height);
  }
  return shades;
}
"""
"""The part of each picture's pixels that anything is drawn on."""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser")
    names = {f"a_name_that_is_rather_long_{name}": scores for name, scores in CLEAR.items()}
    study(root / "runs", CLEAR | names, description="<b>bold</b> " * 20)
    found = compare(gather([root / "runs"]).entries)
    return report.write(found, root / "out", title="In a browser").html


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api")
    with driver.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_opens_without_errors_or_requests(
    browser: Any, page_file: Path, scheme: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    boxes = page.evaluate(
        "[...document.images].map(i => [i.alt, i.complete, i.naturalWidth, i.width, i.height])"
    )
    assert len(boxes) == 6 + 6  # charts and diagrams
    assert all(done and natural and wide and high for _, done, natural, wide, high in boxes), boxes
    # what is wider than the screen scrolls in its own frame, never the page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 27, 34)")
    page.close()


def test_charts_have_ink_and_follow_the_theme(browser: Any, page_file: Path) -> None:
    pictures = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(page_file.as_uri())
        drawn = page.evaluate(DARK_PIXEL)
        charts = {alt: part for alt, part in drawn.items() if not alt.startswith("Diagram")}
        assert len(charts) == 6
        assert all(0.005 < part < 0.9 for part in charts.values()), charts
        pictures[scheme] = page.locator("#figure-forest img").screenshot()
        page.close()
    assert pictures["light"] != pictures["dark"]


def test_labels_of_a_chart_lie_inside_it(browser: Any, page_file: Path) -> None:
    """Each picture alone: no text is cut off at its edges."""
    for figure in sorted((page_file.parent / report.FIGURES).glob("*.svg")):
        page = browser.new_page()
        page.goto(figure.as_uri())
        outside = page.evaluate(
            """() => {
              const frame = document.documentElement.getBoundingClientRect();
              return [...document.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
              }).map(text => text.textContent);
            }"""
        )
        assert outside == [], figure.name
        page.close()


def test_paper_is_light_and_shows_what_a_screen_folds_away(browser: Any, page_file: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(page_file.as_uri())
    page.emulate_media(media="print", color_scheme="light")
    folded = page.evaluate(
        "[...document.querySelectorAll('details:not([open]) dl, details:not([open]) pre')]"
        ".map(each => each.getBoundingClientRect().height)"
    )
    assert folded
    assert all(height > 0 for height in folded)
    page.close()
