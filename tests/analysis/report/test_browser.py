"""The report in a real browser: what a click and a filter do, at every width, light and dark."""

import io
import json
import os
import shutil
from pathlib import Path

import edges
import numpy as np
import pytest
import wide
from PIL import Image  # matplotlib's
from slurm.processes import wait_until

import analysis
from analysis.report import report

selenium = pytest.importorskip("selenium", reason="comes with the extra `test`")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromium-driver"),
]
WIDTHS = (1200, 768, 390)
SMALL, LARGE = ", size=l2_h64_a4", ", size=l3_h64_a4"


@pytest.fixture(scope="module")
def page(wide_study, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "report.html"
    with edges.inside(wide_study):
        path.write_text(report(analysis.load(wide.NAME, wide.ROOT)))
    return path


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = BROWSER
    # In a container Chromium's own sandbox and shared memory are not to be had.
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Selenium would else look for a newer driver on the network.
    os.environ["SE_OFFLINE"] = "true"
    browser = Chrome(options=options, service=Service(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def shown(driver, page):
    """The page, loaded anew at full width."""
    resize(driver, WIDTHS[0])
    driver.get(page.as_uri())
    return driver


def resize(driver, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def colours(driver, mode: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": mode}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def visible(driver, selector: str) -> list[str]:
    """The texts of the elements that are to be seen."""
    script = """return [...document.querySelectorAll(arguments[0])]
        .filter(e => e.checkVisibility({visibilityProperty: true}))
        .map(e => e.textContent.trim())"""
    return driver.execute_script(script, selector)


def cell_of(driver, name: str):
    """The button of a table's cell."""
    script = """const { cells } = JSON.parse(document.getElementById("data").textContent);
        const number = cells.findIndex(cell => cell.name === arguments[0]);
        return document.querySelector(`td [data-cell="${number}"]`)"""
    return driver.execute_script(script, name)


def click(driver, element) -> None:
    # In the middle of the screen, as the filters lie over its upper end.
    driver.execute_script('arguments[0].scrollIntoView({block: "center"})', element)
    element.click()


def choose(driver, **values: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    for name, value in values.items():
        Select(driver.find_element(By.NAME, name)).select_by_visible_text(value)


def test_the_page_loads_from_disk_without_a_network_or_an_error(shown):
    assert shown.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in shown.get_log("performance")]
    sent = [
        message["params"]["request"]["url"]
        for message in asked
        if message["method"].endswith("requestWillBeSent")
        and message["params"]["documentURL"].startswith("file:")  # not the browser's own first page
    ]
    assert sent
    assert {url.partition(":")[0] for url in sent} <= {"file", "data"}


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_holds_the_page_and_begins_with_the_answer(driver, page, width, mode):
    resize(driver, width)
    colours(driver, mode)
    driver.get(page.as_uri())
    script = """return [document.documentElement.scrollWidth - innerWidth,
        document.getElementById("answer").getBoundingClientRect().top,
        getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"""
    over, top, back, ink = driver.execute_script(script)
    assert over <= 0  # nothing but what scrolls by itself is wider than the screen
    assert top < 300
    light, dark = (sum(int(part) for part in text[4:-1].split(", ")) for text in (back, ink))
    assert (light > 600 > 200 > dark) if mode == "light" else (dark > 600 > 200 > light)
    colours(driver, "light")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_figure_has_the_page_s_ground_and_can_be_read_on_it(shown, mode):
    from selenium.webdriver.common.by import By

    colours(shown, mode)
    back = shown.execute_script("return getComputedStyle(document.body).backgroundColor")
    drawing = shown.find_element(By.CSS_SELECTOR, "#tables .drawing img")
    pixels = np.asarray(Image.open(io.BytesIO(drawing.screenshot_as_png)).convert("RGB"))
    colours(shown, "light")
    ground = np.array([int(part) for part in back[4:-1].split(", ")])
    assert (abs(pixels[0, 0] - ground) <= 1).all()
    # Letters and lines are at the other end of the scale.
    farthest = abs(pixels.astype(int) - ground).sum(axis=2).max()
    assert farthest > 600


def test_what_cannot_be_told_is_one_line_that_opens(shown):
    from selenium.webdriver.common.by import By

    folded = shown.find_element(By.CSS_SELECTOR, "#answer details")
    assert folded.text == "not studied matching, init, shape, teacher"
    folded.find_element(By.TAG_NAME, "summary").click()
    assert "init: It does not vary" in folded.text


def test_the_keyboard_opens_a_cell_s_runs_and_comes_back(shown):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    name = f"knowledge · hidden{LARGE} · rte accuracy"
    cell = cell_of(shown, name)
    assert cell.aria_role == "button"
    assert cell.accessible_name.endswith("(4)")
    cell.send_keys(Keys.ENTER)
    dialog = shown.find_element(By.ID, "cell")
    assert dialog.is_displayed()
    assert dialog.accessible_name == name
    assert "python -m analysis why" in dialog.text
    runs = dialog.find_elements(By.CSS_SELECTOR, "#cell-runs details")
    assert [run.text.partition(":")[0] for run in runs] == [f"seed {n}" for n in range(1, 5)]
    runs[2].find_element(By.TAG_NAME, "summary").send_keys(Keys.SPACE)
    assert "python -m kdlab" in runs[2].text
    assert "seed=3" in runs[2].text
    shown.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert shown.switch_to.active_element == cell


def test_a_click_on_an_average_shows_its_runs_over_tasks(shown):
    from selenium.webdriver.common.by import By

    name = f"knowledge · logits{LARGE} · average"
    click(shown, cell_of(shown, name))
    dialog = shown.find_element(By.ID, "cell")
    assert dialog.accessible_name == name
    runs = dialog.find_elements(By.CSS_SELECTOR, "#cell-runs details")
    assert [run.text.rpartition(":")[0] for run in runs[::4]] == [
        f"{columns}, seed 1"
        for columns in ("mean of mrpc f1 and mrpc accuracy", "rte accuracy", "qnli accuracy")
    ]
    assert len(runs) == 12
    runs[5].find_element(By.TAG_NAME, "summary").click()
    assert "task=rte" in runs[5].text
    (command,) = dialog.find_elements(By.CSS_SELECTOR, "#cell-why .command")
    assert f"why 'wide/knowledge/logits{LARGE}' --root" in command.text
    # The same arm in the drawings opens the same.
    dialog.find_element(By.TAG_NAME, "button").click()
    assert not dialog.is_displayed()
    for section in ("forest", "over-tasks"):
        selector = f"#{section} [data-cell='{cell_of(shown, name).get_attribute('data-cell')}']"
        click(shown, shown.find_element(By.CSS_SELECTOR, selector))
        assert dialog.accessible_name == name
        dialog.find_element(By.TAG_NAME, "button").click()


def test_filters_leave_what_matches_with_its_control(shown):
    from selenium.webdriver.common.by import By

    every = visible(shown, "td button.cell")
    choose(shown, task="rte", size="l3_h64_a4", knowledge="logits_kl")
    assert visible(shown, "#filters output") == [f"2 of {len(every)} cells"]  # and the teacher's
    rows = visible(shown, "#forest tbody th")
    assert rows == ["none" + LARGE, "logits" + LARGE]
    assert visible(shown, "#forest figcaption strong") == ["rte accuracy"]
    assert visible(shown, "#tables tbody th") == ["teacher", "majority", "logits" + LARGE]
    assert visible(shown, "#tables thead th[scope=colgroup]") == ["rte accuracy"]
    shown.find_element(By.CSS_SELECTOR, "#filters button").click()
    # The form is reset before the page looks at it, in a task of its own.
    wait_until(lambda: visible(shown, "td button.cell") == every, "every cell back", 30)
    assert visible(shown, "#filters output") == [f"{len(every)} cells"]


def test_of_one_size_over_all_tasks_the_average_stays(shown):
    choose(shown, size="l2_h64_a4")
    assert "average" in visible(shown, "#forest figcaption strong")
    rows = visible(shown, "#forest tbody th, #over-tasks tbody th")
    assert set(rows) == {name + SMALL for name in wide.GAINS}


def test_every_control_has_a_name_and_every_region_that_scrolls_can_be_reached(shown):
    script = """return [...document.querySelectorAll("button, select, summary, a, dialog")]
        .filter(e => !e.textContent.trim() && !e.getAttribute("aria-label")).length"""
    assert shown.execute_script(script) == 0
    script = """return [...document.querySelectorAll("*")].filter(e => e.scrollWidth > e.clientWidth
        + 1 && ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && e.tabIndex < 0)
        .map(e => e.outerHTML.slice(0, 80))"""
    assert shown.execute_script(script) == []
