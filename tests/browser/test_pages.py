"""Every kind of report in Chromium: no console message, no request, nothing that axe finds, and a time axis that keys can use.

``make test-browser`` runs them: they need Chromium and ``pip install 'chaos-nines[browser]'``.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.report.pages import report as html
from chaos.results import states
from tests.support import report_kinds

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
OPEN_MS = 120_000
MOST_BYTES = 2_000_000
MODES: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1180, "height": 900}},
    "dark": {"viewport": {"width": 1180, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "print": {"viewport": {"width": 794, "height": 1123}},
}
AXE = "axe.run(document, {resultTypes: ['violations']})"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium (apt-get install chromium)")
    sync = importlib.import_module("playwright.sync_api")
    with sync.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """The program that looks for barriers."""
    package = importlib.import_module("axe_playwright_python")
    return (Path(package.__path__[0]) / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of an hour."""
    folder = tmp_path_factory.mktemp("hour") / "run"
    report_kinds.hour(folder)
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, hour: Path) -> dict[str, Path]:
    """A page of each kind."""
    from chaos.history.folder import RunFolder
    from chaos.report.build import from_folder

    folder = tmp_path_factory.mktemp("pages")
    made = {state.name: html.render(report_kinds.of_state(state)) for state in states.STATES.values()}
    made["hour"] = html.render(from_folder(RunFolder(hour)))
    made["nine"] = html.render(report_kinds.nine(folder / "nine"))
    made["chinese"] = html.render(report_kinds.kept(), "zh")
    for name, text in made.items():
        assert len(text.encode()) < MOST_BYTES, name
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


Shown = Callable[..., Any]


@pytest.fixture
def shown(browser: Any) -> Iterator[Shown]:  # noqa: ANN401 (playwright is not installed everywhere)
    """Open a page in a way; whatever it says on the console or asks of a network fails the test at its end."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_page(path: Path, mode: str = "light", **more: object) -> Any:  # noqa: ANN401
        context = browser.new_context(**(MODES[mode] | more))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(OPEN_MS)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
        if mode == "print":
            page.emulate_media(media="print")
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == [] and asked == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [*states.STATES, "hour", "nine", "chinese"])
def test_nobody_is_kept_out(kind: str, mode: str, pages: dict[str, Path], shown: Shown, axe: str) -> None:
    """Axe finds nothing, folded rows opened as well; nothing is wider than the screen."""
    page = shown(pages[kind], mode)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate("(text) => { const made = document.createElement('script'); made.textContent = text; document.head.append(made); }", axe)
    found = page.evaluate(AXE)["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    verdict = page.locator("#verdict").bounding_box()
    assert verdict["y"] < 120


def test_without_scripts_the_still_drawing_stands(pages: dict[str, Path], shown: Shown) -> None:
    """As in a mail: drawing and tables are there, the empty frame is not."""
    page = shown(pages["pass"], java_script_enabled=False)
    assert page.locator("#still svg").is_visible() and not page.locator("#chart").is_visible()
    assert page.locator("table").count() > 5


def test_on_paper_the_still_drawing_and_every_row_stand(pages: dict[str, Path], shown: Shown) -> None:
    """Folded tables are open on paper."""
    page = shown(pages["hour"], "print")
    assert page.locator("#still svg").is_visible() and not page.locator("#chart").is_visible()
    assert page.locator("#table-faults tbody tr").first.is_visible()


def test_keys_go_from_event_to_event_and_zoom(pages: dict[str, Path], shown: Shown) -> None:
    """The cursor tells what it meets, also aloud; Enter opens the row of the table."""
    page = shown(pages["hour"])
    frame = page.locator(".chart-frame")
    frame.focus()
    page.keyboard.press("ArrowRight")
    heard = page.locator("#chart [aria-live]")
    assert "kill-leader on n1" in heard.text_content()
    assert page.locator(".chart-box").is_visible()
    before = page.locator(".chart-canvas svg").inner_html()
    page.keyboard.press("+")
    page.wait_for_function("(was) => document.querySelector('.chart-canvas svg').innerHTML !== was", arg=before)
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash.length > 1")
    target = page.evaluate("document.getElementById(location.hash.slice(1)).innerText")
    assert "kill-1" in target or "write-1" in target
    frame.focus()  # Enter has led away, to the row
    page.keyboard.press("Escape")
    assert not page.locator(".chart-box").is_visible()


def test_a_touch_shows_what_is_there(pages: dict[str, Path], shown: Shown) -> None:
    """A tap on the lanes moves the cursor there."""
    page = shown(pages["pass"], "phone")
    canvas = page.locator(".chart-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.6, box["y"] + 40)
    assert page.locator(".chart-box").is_visible()
    assert " s" in page.locator(".chart-box strong").text_content()


def test_a_link_leads_from_outage_to_fault_to_log(pages: dict[str, Path], shown: Shown) -> None:
    """Each opens the table that it leads into."""
    page = shown(pages["hour"])
    page.locator("#table-outage_breakdown_by_phase summary").click()
    link = page.locator("#table-outage_breakdown_by_phase td a").first
    place = link.get_attribute("href").removeprefix("#")
    link.click()
    assert page.locator(f"[id='{place}']").is_visible()
    logged = page.locator(f"[id='{place}'] a[href^='#log-']").first
    row = logged.get_attribute("href").removeprefix("#")
    logged.click()
    assert page.locator(f"[id='{row}']").is_visible()


def test_an_hour_is_reported_in_time(hour: Path) -> None:
    """From the folder to all files of the report: seconds of processor and memory of a process of its own."""
    program = "import sys; from chaos.cli.main import main; sys.exit(main(['report', sys.argv[1], '--format', 'html', '-o', sys.argv[2]]))"
    (hour / "report.json").unlink(missing_ok=True)
    begun_s = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", program, str(hour), str(hour / "page.html")]) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    print(f"judged and rendered: {usage.ru_utime + usage.ru_stime:.2f} s of processor, {time.monotonic() - begun_s:.2f} s in all, "
          f"{usage.ru_maxrss / 1024:.0f} MB, {(hour / 'page.html').stat().st_size} bytes")  # fmt: skip
    assert process.returncode == 0
    assert usage.ru_maxrss / 1024 < 300
    assert usage.ru_utime + usage.ru_stime < 6
