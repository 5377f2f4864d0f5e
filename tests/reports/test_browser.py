"""The pages in Chromium, headless, from the file system."""

import pytest
from browser import CHROMIUM, MISSING, check_page, opened
from examples import HOSTILE, code, figure_output, markdown, stream
from nbformat.v4 import new_notebook

from wbc_utils import render

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, page, index):
    folder = tmp_path_factory.mktemp("reports")
    (folder / "01.html").write_text(page, encoding="utf-8")
    (folder / "index.html").write_text(index, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["index.html", "01.html"])
def test_page_is_quiet_offline_accessible_and_fits_every_width(browser, folder, name):
    check_page(browser, folder / name)


def test_the_pages_of_the_demo_are_as_quiet_offline_and_accessible(browser, demo):
    pages = sorted(demo.reports.glob("*.html"))
    assert len(pages) > 1
    for path in pages:
        check_page(browser, path)


def test_theme_is_remembered_by_the_next_visit(browser, folder):
    with opened(browser, folder / "index.html") as page:
        page.locator("#theme").click()
        chosen = page.evaluate("getComputedStyle(document.body).backgroundColor")
        again = page.context.new_page()
        again.goto((folder / "index.html").as_uri())
        assert again.evaluate("getComputedStyle(document.body).backgroundColor") == chosen


def test_contents_stick_at_the_side_when_wide_and_collapse_when_narrow(browser, folder):
    with opened(browser, folder / "01.html", 1280) as page:
        page.locator("#provenance").scroll_into_view_if_needed()
        assert page.locator(".contents a").first.is_visible()
        assert page.locator(".contents").bounding_box()["y"] >= 0
    with opened(browser, folder / "01.html", 390) as page:
        link = page.locator(".contents a", has_text="Reading")
        assert not link.is_visible()
        page.locator(".contents summary").click()
        link.click()
        assert not link.is_visible()
        assert page.locator("#reading").bounding_box()["y"] >= page.locator(".contents").bounding_box()["height"]


def test_wide_table_scrolls_inside_its_own_box(browser, folder):
    with opened(browser, folder / "01.html", 390) as page:
        assert page.evaluate("(box => box.scrollWidth > box.clientWidth)(document.querySelector('#table-1 .scroll'))")


def test_first_tab_reaches_the_skip_link(browser, folder):
    with opened(browser, folder / "01.html") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_print_hides_code_and_contents_and_is_light_in_dark_mode(browser, folder):
    with opened(browser, folder / "01.html", theme="dark") as page:
        page.emulate_media(media="print")
        assert not page.locator("details.code").first.is_visible()
        assert not page.locator(".contents").is_visible()
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(31, 33, 38)"
        assert "https://example.org" in page.evaluate(
            "getComputedStyle(document.querySelector('.prose a[href^=http]'), '::after').content"
        )


def test_page_works_without_script(browser, folder):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "01.html").as_uri())
    assert not page.locator("#all-code").is_visible()
    page.locator("details.code summary").first.click()
    assert page.locator("details.code .source").first.is_visible()
    context.close()


def test_hostile_names_do_not_run(browser, manifest, links, tmp_path):
    hostile = manifest.model_copy(
        update={"title": HOSTILE, "question": HOSTILE, "answer": HOSTILE, "parameters": {HOSTILE: HOSTILE}}
    )
    cells = [
        markdown("# 01 · T\n\n**Answer.** {{answer}}"),
        code(HOSTILE, stream(HOSTILE), figure_output(HOSTILE, HOSTILE)),
    ]
    path = tmp_path / "01.html"
    path.write_text(render.page(new_notebook(cells=cells), hostile, **links), encoding="utf-8")
    with opened(browser, path) as page:
        assert page.locator("script").count() == 1
        assert page.locator("img").count() == 1
        assert page.locator("figcaption").text_content() == f"Figure 1. {HOSTILE}"


def test_script_smuggled_past_the_templates_is_stopped_by_the_policy(browser, page, tmp_path):
    path = tmp_path / "01.html"
    path.write_text(page.replace("<main", "<script>document.title = 'run'</script><main"), encoding="utf-8")
    context = browser.new_context()
    opened_page = context.new_page()
    opened_page.goto(path.as_uri())
    assert opened_page.title() == "01 · What is in the data, and what is in it twice"
    context.close()
