# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser: it is complete, its choices work, and it asks nobody anything."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import mean

import cv2
import pytest
from report_folders import METHODS, make_folder
from test_report import EVIL

from ivif_ros.evaluation.recordings import How, find_recordings
from ivif_ros.evaluation.records import read_results
from ivif_ros.evaluation.report import write_report
from ivif_ros.evaluation.run import Evaluation, evaluate
from ivif_ros.parameters import Parameters
from ivif_ros.parameters.spec import replace as changed

ARGUMENTS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-sync']


@pytest.fixture(scope='module')
def browser():
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    program = shutil.which('chromium') or shutil.which('chromium-browser')
    if program is None:
        pytest.skip('Chromium is not installed (Debian: apt install chromium)')
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    return write_report(make_folder(tmp_path_factory.mktemp('evaluation')))


@contextmanager
def opened(browser, path, width=1400, **options) -> Iterator:
    """Open a page; complaints of the browser and requests to anybody fail the test."""
    context = browser.new_context(viewport={'width': width, 'height': 900}, **options)
    page = context.new_page()
    seen: list[str] = []
    page.on('console', lambda message: seen.append(f'{message.type}: {message.text}'))
    page.on('pageerror', lambda error: seen.append(f'error: {error}'))
    page.on('request', lambda request: seen.append(request.url[:99]) if not request.url.startswith(
        (path.as_uri(), 'data:')) else None)
    page.goto(path.as_uri())
    yield page
    context.close()
    assert not seen


def curves(page) -> list[str]:
    """Return the shapes of all curves over time."""
    return page.eval_on_selector_all(
        '#plots .curve', 'all => all.map(one => one.getAttribute("points"))')


def test_tables_plots_and_pictures_are_there(browser, report):
    with opened(browser, report) as page:
        assert page.locator('#quality table').first.locator('tbody tr').count() == len(METHODS)
        assert page.locator('#plots figure').count() == 6
        assert len(curves(page)) > 6
        assert page.locator('#histogram polygon').count() == len(METHODS)
        sizes = page.eval_on_selector_all('#frame-list img', 'all => all.map(i => i.naturalWidth)')
        assert len(sizes) == 54
        assert set(sizes) == {160}


def test_the_choices_of_the_plots_work(browser, report):
    with opened(browser, report) as page:
        first = curves(page)
        page.select_option('#plot-recording', 'smoke')
        second = curves(page)
        assert second != first
        page.select_option('#plot-metric', 'metric:dE')
        assert 'Colour difference' in page.locator('#plots figcaption').first.inner_text()
        page.select_option('#plot-method', 'mean')
        names = page.locator('#plots .legend').nth(1).inner_text()
        assert all(stage in names for stage in ('thermal', 'registration', 'warp', 'fusion'))
        before = page.locator('#histogram polygon').first.get_attribute('points')
        page.select_option('#histogram-stage', 'warp')
        assert page.locator('#histogram polygon').first.get_attribute('points') != before


def test_a_plot_tells_its_values_to_the_mouse_and_to_the_keyboard(browser, report):
    with opened(browser, report) as page:
        plot, legend = page.locator('#plots svg').first, page.locator('#plots .legend')
        plot.hover(position={'x': 200, 'y': 60})
        under_mouse = legend.first.inner_text()
        assert 'at ' in under_mouse
        # All plots show the same moment.
        assert 'at ' in legend.nth(3).inner_text()
        plot.focus()
        page.keyboard.press('ArrowRight')
        assert legend.first.inner_text() != under_mouse


def test_recordings_and_frames_can_be_chosen(browser, report):
    with opened(browser, report) as page:
        page.select_option('select[data-shows=by-recording]', 'SSIM')
        assert page.locator('.choice:visible h3').all_inner_texts()[0].startswith('SSIM')
        assert page.locator('.choice:visible').count() == 1
        assert page.locator('.frame:visible').count() == 9
        page.select_option('#frame-recording', 'front')
        assert page.locator('.frame:visible').count() == 3
        page.select_option('#frame-kind', 'best')
        page.select_option('#frame-method', 'mean')
        chosen = page.locator('.frame:visible')
        assert 0 < chosen.count() < 3
        assert all('best' in text for text in chosen.all_inner_texts())
        assert page.locator('#frame-count').inner_text() in ('1 frame', '2 frames')


def test_pictures_are_enlarged_and_leafed_through_with_the_keyboard(browser, report):
    with opened(browser, report) as page:
        page.locator('.frame img').nth(1).click()
        viewer = page.locator('#viewer')
        caption = viewer.locator('figcaption')
        assert viewer.is_visible()
        assert 'thermal (2 of 6)' in caption.inner_text()
        page.keyboard.press('ArrowRight')
        page.keyboard.press('ArrowRight')
        assert 'fused: learned_pyramid (4 of 6)' in caption.inner_text()
        frame = caption.inner_text().split(' at ')[0]
        page.keyboard.press('ArrowDown')
        assert caption.inner_text().split(' at ')[0] != frame
        assert '(4 of 6)' in caption.inner_text()
        assert viewer.locator('img').get_attribute('alt').startswith('fused: learned_pyramid')
        page.keyboard.press('Escape')
        assert not viewer.is_visible()


@pytest.mark.parametrize('width', [480, 1400])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_nothing_is_wider_than_the_window_and_text_can_be_read(browser, report, width, scheme):
    with opened(browser, report, width, color_scheme=scheme) as page:
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        assert page.evaluate(CONTRASTS) == []


CONTRASTS = r"""() => {
  // Ratio of luminances as in WCAG 2.1; 4.5 is its level AA for text.
  const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = rgb => rgb.map(v => linear(v / 255)).reduce(
    (sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parse = text => text.match(/[\d.]+/g).map(Number);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const node of document.querySelectorAll('body *:not(script):not(style):not(noscript)')) {
    const own = [...node.childNodes].some(c => c.nodeType === 3 && c.textContent.trim());
    if (!own || !node.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(node);
    const front = parse(node instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const [a, b] = [light(front), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(`${node.tagName} ${node.textContent.trim()}`);
  }
  return poor;
}"""


def test_meanings_are_shown_beside_the_names_of_metrics(browser, report):
    with opened(browser, report) as page:
        name = page.locator('#quality th .tip').nth(12)
        bubble = name.locator('.bubble')
        assert not bubble.is_visible()
        name.hover()
        assert bubble.is_visible()
        assert 'Lower is better' in bubble.inner_text()
        box = bubble.bounding_box()
        assert box['x'] >= 0
        assert box['x'] + box['width'] <= 1400


def test_figures_and_pictures_need_no_script(browser, report):
    with opened(browser, report, java_script_enabled=False) as page:
        assert page.locator('#quality table').first.is_visible()
        assert page.locator('.choice').nth(3).is_visible()
        assert page.locator('.frame img').first.is_visible()
        assert 'drawn by a script' in page.locator('#time').inner_text()
        assert not page.locator('select').first.is_visible()


def test_on_paper_everything_is_open(browser, report, tmp_path):
    with opened(browser, report) as page:
        page.evaluate('dispatchEvent(new Event("beforeprint"))')
        page.emulate_media(media='print')
        assert page.locator('details:not([open])').count() == 0
        assert not page.locator('.toc').is_visible()
        assert not page.locator('.controls').first.is_visible()
        page.pdf(path=tmp_path / 'report.pdf', format='A4')
    assert (tmp_path / 'report.pdf').stat().st_size > 50_000


def test_what_comes_from_outside_does_not_run(browser, tmp_path):
    path = write_report(make_folder(tmp_path / 'evil', methods=(EVIL, 'b'),
                                    recordings=('plain', 'other'), pairs=12, kept=0))
    with opened(browser, path) as page:
        assert page.evaluate('window.evil') is None
        assert EVIL.replace('\u2028', '') in page.locator('#plot-method').inner_text().replace(
            '\u2028', '')


def test_a_script_that_got_into_the_page_would_not_run(browser, report, tmp_path):
    path = tmp_path / 'report.html'
    text = report.read_text(encoding='utf-8')
    path.write_text(text.replace('</main>', '<script>window.evil = 1</script></main>'))
    page = browser.new_page()
    refused: list[str] = []
    page.on('console', lambda message: refused.append(message.text))
    page.goto(path.as_uri())
    assert page.evaluate('window.evil') is None
    assert 'Content Security Policy' in refused[0]
    page.close()


def test_the_report_of_a_real_evaluation(browser, shared_data, tmp_path):
    pairs = tmp_path / 'walk'
    for sensor in ('rgb', 'thermal'):
        (pairs / sensor).mkdir(parents=True)
        video = cv2.VideoCapture(str(shared_data / 'm3svd' / sensor / '0111_1716.mp4'))
        for index in range(6):
            image = cv2.resize(video.read()[1], (320, 240), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(pairs / sensor / f'{index:03d}.png'),
                        image if sensor == 'rgb' else image[..., 0])
    out = tmp_path / 'out'
    params = changed(Parameters(), {'registration.mode': 'none', 'sync.offset_estimation': 'off'})
    evaluate(Evaluation(find_recordings([str(pairs)], How(rate_hz=30.0)), ['average', 'maximum'],
                        params, out, every=2, keep=1, jobs=1))
    vif = {method: mean(record.metrics['VIF'] for record in read_results(out / 'results.jsonl')
                        if record.method == method and record.metrics)
           for method in ('average', 'maximum')}
    with opened(browser, write_report(out)) as page:
        assert page.locator('h1').inner_text() == '2 fusion methods on walk'
        table = page.locator('#quality table').first
        at = table.locator('th .tip').evaluate_all(
            'all => all.findIndex(one => one.firstChild.textContent === "VIF")')
        for row, method in enumerate(('average', 'maximum')):
            cells = table.locator('tbody tr').nth(row).locator('td .value')
            assert cells.nth(at).inner_text().split()[0] == f'{vif[method]:.3f}'
        assert page.locator('#plots figure').count() >= 3
        shown = page.eval_on_selector_all('#frame-list img', 'all => all.map(i => i.naturalWidth)')
        assert len(shown) >= 3 * 4
        assert set(shown) == {320}


def test_a_page_with_next_to_nothing_works(browser, tmp_path):
    path = write_report(make_folder(tmp_path / 'bare', methods=('mean',), recordings=('one',),
                                    pairs=1, kept=0, detect=False))
    with opened(browser, path) as page:
        assert 'No pictures were kept' in page.locator('#frames').inner_text()
        assert page.locator('#plots figure').count() > 0
