"""What every page must do in a real browser; the same assertions serve example pages and those of a run."""

import shutil
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
MISSING = "no chromium or chrome on PATH; on Debian: apt-get install chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
MAX_BYTES = 3_000_000


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1280, theme: str = "light"):
    """Open a file and yield the page; fail on leaving if it logged an error or requested anything else."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    page, errors, requests = context.new_page(), [], []
    page.on("console", lambda message: errors.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: (errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    try:
        page.goto(path.as_uri())
        yield page
        assert errors == []
        assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    finally:
        context.close()


def check_page(browser: Browser, path: Path) -> None:
    """Assert everything that holds for the index and for every notebook's page."""
    assert path.stat().st_size <= MAX_BYTES
    for width in WIDTHS:
        for theme in THEMES:
            with opened(browser, path, width, theme) as page:
                check_fits(page)
                check_accessible(page)
    with opened(browser, path) as page:
        check_theme_button(page)
        if page.locator("details.code").count():
            check_code_buttons(page)


def check_fits(page: Page) -> None:
    """Assert that nothing makes the page wider than its window, folded or not, and that its pictures are whole."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")


def check_accessible(page: Page) -> None:
    """Assert that axe-core finds no serious or critical violation."""
    found = Axe().run(page).response["violations"]
    grave = [
        (one["id"], node["target"], node.get("failureSummary"))
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
    assert grave == [], grave


def check_code_buttons(page: Page) -> None:
    """Assert that code is folded at first, opens one by one, and all at once."""
    cells, button = page.locator("details.code"), page.locator("#all-code")
    unfolded = page.locator("details.code[open]")
    assert unfolded.count() == 0
    assert not cells.first.locator(".source").is_visible()
    cells.first.locator("summary").click()
    assert cells.first.locator(".source").is_visible()
    button.click()
    assert unfolded.count() == cells.count()
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert unfolded.count() == 0


def check_theme_button(page: Page) -> None:
    """Assert that the theme changes on demand, there and back, and says what the next click brings."""
    paper, button = "getComputedStyle(document.body).backgroundColor", page.locator("#theme")
    light = page.evaluate(paper)
    assert button.text_content() == "Dark theme"
    button.click()
    assert page.evaluate(paper) != light
    assert button.text_content() == "Light theme"
    button.click()
    assert page.evaluate(paper) == light
