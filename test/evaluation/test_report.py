# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from report_folders import METRICS, make_folder

from ivif_ros.errors import OutputError, SourceError
from ivif_ros.evaluation.records import (
    RESULTS,
    SUMMARY,
    Estimate,
    MethodSummary,
    PairRecord,
    RecordingSummary,
    RunInfo,
    Summary,
    read_results,
    read_summary,
    to_json,
)
from ivif_ros.evaluation.report import write_report
from ivif_ros.evaluation.report_curves import BINS_PER_DECADE, MOST_POINTS, NUMBERS, draw
from ivif_ros.evaluation.report_frames import browse
from ivif_ros.evaluation.report_tables import (
    MOST_CELLS,
    detection_table,
    fusion_table,
    recording_tables,
    registration_table,
)
from ivif_ros.evaluation.report_text import decimals, interval, number, percent

MEGABYTE = 1_000_000


def rewrite(folder: Path, change) -> None:
    """Change the summary of a folder, and the run in it."""
    summary = change(read_summary(folder))
    (folder / SUMMARY).write_text(json.dumps(to_json(summary)))
    (folder / 'run.json').write_text(json.dumps(to_json(summary.run)))


def page_of(folder: Path) -> str:
    return write_report(folder).read_text(encoding='utf-8')


def plotted(page: str) -> dict:
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text[1])


def words_of(page: str) -> str:
    """Return what a reader sees, without scripts, styles and tags."""
    body = re.sub(r'<(script|style).*?</\1>', ' ', page, flags=re.S)
    return ' '.join(re.sub(r'<[^>]+>', ' ', body).split())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp('evaluation'))


def summary_of(**metrics: list[tuple[float, float | None, float | None]]) -> Summary:
    """Make a summary of as many methods as each metric has figures."""
    n = len(next(iter(metrics.values())))
    methods = {f'm{row}': MethodSummary(
        {key: Estimate(*figures[row], 100, 'pairs') for key, figures in metrics.items()},
        {}, 100, 0, {'fused': 100}) for row in range(n)}
    recording = RecordingSummary({}, {}, 1.0, 100)
    return Summary(RunInfo({'a': ''}, list(methods), {}, 1), methods, {'a': recording})


def marks(summary: Summary, key: str) -> list[str]:
    columns = {column.metric.key: column for column in fusion_table(summary).columns}
    return [cell.mark for cell in columns[key].cells]


def test_the_page_has_every_figure_of_the_summary(folder):
    text = words_of(page_of(folder))
    summary = read_summary(folder)
    for method in summary.methods.values():
        for estimate in method.metrics.values():
            assert any(number(estimate.mean, places) in text for places in range(4))
        for percentiles in method.latency_ms.values():
            assert f'{percentiles["p50"]:.1f}' in text
    for name in (*summary.methods, *summary.recordings, *METRICS):
        assert name in text
    assert '0.620 on images fused by learned_pyramid' in text
    assert 'set sync.thermal_offset_ms to 12.4' in text


def test_the_page_refers_to_nothing_outside(folder):
    page = page_of(folder)
    assert not re.search(r'(?:src|href|action|data)\s*=\s*["\'](?!data:|#)', page)
    assert not re.search(r'url\(|@import|<link(?! rel="icon" href="data:,")', page)
    assert "default-src 'none'" in page


def test_higher_lower_and_neutral_metrics_are_marked_as_such():
    summary = summary_of(VIF=[(0.5, None, None), (0.4, None, None)],
                         dE=[(5.0, None, None), (4.0, None, None)],
                         EN=[(7.0, None, None), (6.0, None, None)])
    assert marks(summary, 'VIF') == ['best', '']
    assert marks(summary, 'dE') == ['', 'best']
    assert marks(summary, 'EN') == ['', '']


def test_overlapping_intervals_are_not_called_worse():
    summary = summary_of(VIF=[(0.50, 0.45, 0.55), (0.47, 0.43, 0.51), (0.40, 0.38, 0.42),
                              (math.nan, None, None)])
    assert marks(summary, 'VIF') == ['best', 'close', '', '']


def test_nothing_is_best_of_one_or_of_equals():
    assert marks(summary_of(VIF=[(0.5, 0.4, 0.6)]), 'VIF') == ['']
    assert marks(summary_of(VIF=[(0.5, 0.4, 0.6)] * 2), 'VIF') == ['', '']


def test_registration_that_all_methods_share_is_one_row(folder):
    summary = read_summary(folder)
    assert registration_table(summary).rows == ['all methods']
    first, *_ = summary.methods
    other = {**summary.methods, first: replace(summary.methods[first], registration={})}
    assert registration_table(replace(summary, methods=other)).rows == list(summary.methods)


def test_cameras_alone_are_one_row_each(folder):
    table = detection_table(read_summary(folder).detection)
    assert table.rows == ['RGB only', 'Thermal only', 'Fused: learned_pyramid', 'Fused: laplacian',
                          'Fused: mean']
    ap50 = next(column for column in table.columns if column.metric.key == 'AP50')
    assert [cell.mark for cell in ap50.cells] == ['', '', 'best', '', '']


EVIL = '</script><script>window.evil=1</script><img src=x onerror="window.evil=1">\u2028&"\''


def test_names_and_errors_from_outside_are_text(tmp_path):
    folder = make_folder(tmp_path / 'evil', methods=(EVIL, 'b'), recordings=('plain',), pairs=9,
                         kept=0)
    lines = [json.loads(line) for line in (folder / RESULTS).read_text().splitlines()]
    lines[0]['error'] = EVIL
    lines[1]['name'] = EVIL
    (folder / RESULTS).write_text('\n'.join(map(json.dumps, lines)))
    page = page_of(folder)
    assert '<script>window.evil' not in page
    assert '<img src=x' not in page
    assert plotted(page)['methods'] == [EVIL, 'b']


def test_what_is_missing_is_said(tmp_path):
    folder = make_folder(tmp_path / 'bare', methods=('mean',), recordings=('one',), pairs=5, kept=0,
                         detect=False)
    rewrite(folder, lambda summary: replace(
        summary, methods={'mean': MethodSummary({}, {}, 0, 5, {})},
        recordings={'one': RecordingSummary({}, {}, 0.0, 5, errors={'mean': 'no weights'})}))
    (folder / RESULTS).write_text('')
    text = words_of(page_of(folder))
    for said in ('No fusion metric was measured', 'Registration was not measured',
                 'neither a detector nor labels were given', 'There are no results to plot',
                 'No latency was recorded', 'Nothing was dropped', 'No pictures were kept',
                 'no result for one : no weights'):
        assert said in text, said
    assert 'nan' not in text.lower().split()
    assert 'None' not in text.split()


def test_numbers_that_are_none_are_dashes_and_gaps(tmp_path):
    folder = make_folder(tmp_path / 'nan', methods=('a', 'b'), recordings=('one',), pairs=9, kept=0)
    rewrite(folder, lambda summary: replace(summary, methods={
        **summary.methods, 'b': replace(
            summary.methods['b'], metrics={'VIF': Estimate(None, None, None, 0, 'pairs')})}))
    lines = [json.loads(line) for line in (folder / RESULTS).read_text().splitlines()]
    lines[3]['metrics']['VIF'] = None
    lines[4]['skew_ms'] = None
    (folder / RESULTS).write_text('\n'.join(map(json.dumps, lines)))
    page = page_of(folder)
    curve = plotted(page)['curves']['one']['a']['s']
    assert curve['metric:VIF'][0][3] is None
    assert curve['skew'][0][4] is None
    assert 'NaN' not in page.partition('id="data"')[2].partition('</script>')[0]
    assert re.search(r'class="value">\N{EN DASH}<', page)


def test_failures_are_counted_by_what_happened(tmp_path):
    folder = make_folder(tmp_path / 'failed', methods=('a', 'b'), recordings=('one',), pairs=9,
                         kept=0)
    lines = [json.loads(line) for line in (folder / RESULTS).read_text().splitlines()]
    for line in lines[:4]:
        line.update(error='ImageError: too small', metrics=None, mode='')
    (folder / RESULTS).write_text('\n'.join(map(json.dumps, lines)))
    rewrite(folder, lambda summary: replace(summary, methods={
        **summary.methods, 'a': replace(summary.methods['a'], failed=4, pairs=5)}))
    text = words_of(page_of(folder))
    assert 'a failed on 4 pairs of one : ImageError: too small' in text
    assert '4 pairs of 18 failed (22 %)' in text


def test_a_report_of_10000_frames_is_small(tmp_path):
    folder = make_folder(tmp_path / 'long', methods=('a',), recordings=('one',), pairs=10_000,
                         every=10, kept=9, size=(480, 360), detect=False)
    path = write_report(folder)
    assert path.stat().st_size < 20 * MEGABYTE
    curve = plotted(path.read_text())['curves']['one']['a']
    assert len(curve['t']) <= MOST_POINTS
    means, least, largest = curve['s']['latency:fusion']
    assert len(means) == len(least) == len(largest) == len(curve['t'])


def record(index: int, recording: str = 'r', method: str = 'm', **values) -> PairRecord:
    return PairRecord(recording, method, index, index * 10**8, index / 10, mode='fused', **values)


def test_a_single_bad_pair_of_a_long_stream_stays_visible():
    records = [record(index, skew_ms=99.0 if index == 7777 else 1.0) for index in range(10_000)]
    records[5000] = replace(records[5000], mode='rgb_only')
    curve = draw(records, 1, 1).curves['r']['m']
    means, least, largest = curve['s']['skew']
    assert max(largest) == 99
    assert min(least) == 1
    at = largest.index(99)
    assert abs(curve['t'][at] - 777.7) < curve['n'] / 10
    assert means[at] == pytest.approx(1 + 98 / curve['n'], rel=1e-3)
    assert curve['mode'].count('rgb_only') == 1


def test_stills_are_drawn_by_their_number():
    curve = draw([record(index) for index in (0, 3, 6)], 1, 1, ['r']).curves['r']['m']
    assert curve['t'] == [0, 3, 6]


def test_numbers_in_the_page_are_bounded_for_any_number_of_recordings():
    latency = {f'stage{number}': 1.5 for number in range(20)}
    records = (record(index, f'r{name}', method, latency_ms=latency)
               for name in range(100) for method in ('a', 'b') for index in range(45))
    drawn = draw(records, 100, 2)
    numbers = sum(len(part) for by_method in drawn.curves.values() for curve in by_method.values()
                  for parts in curve['s'].values() for part in parts)
    assert 0 < numbers <= NUMBERS
    assert drawn.left_out
    assert len(drawn.left_out) + len(drawn.curves) == 100
    assert drawn.left_out[-1] == 'r99'


def test_tables_by_recording_are_bounded():
    summary = summary_of(VIF=[(0.5, None, None)] * 2, SSIM=[(0.5, None, None)] * 2)
    one = RecordingSummary({'m0': {'VIF': 0.5, 'SSIM': 0.6}}, {}, 1.0, 9)

    def shown(n):
        many = replace(summary, recordings={f'r{index}': one for index in range(n)})
        return [meaning.key for meaning, _ in recording_tables(many)]

    assert shown(2) == ['VIF', 'SSIM']
    assert shown(MOST_CELLS) == ['VIF']


def test_histograms_count_every_pair_in_its_bin():
    values = [0.5, 1.0, 1.01, 37.0, 37.1, 37.2, 2000.0]
    drawn = draw([record(index, latency_ms={'fusion': value})
                  for index, value in enumerate(values)], 1, 1)
    first, *counts = drawn.histograms['m']['fusion']
    assert sum(counts) == len(values)
    for value in values:
        place = math.floor(math.log10(value) * BINS_PER_DECADE) - first
        assert counts[place] >= 1
    assert max(counts) == 3


def test_frames_that_several_methods_kept_are_shown_once(folder):
    drawn = draw(read_results(folder / RESULTS), 3, 3)
    frames = browse(folder, drawn.kept, drawn.vif)
    assert len(frames.rows) == 9
    assert frames.left_out == 0
    assert all([picture.label for picture in row.pictures] == [
        'RGB', 'thermal', 'thermal, registered', 'fused: learned_pyramid', 'fused: laplacian',
        'fused: mean'] for row in frames.rows)
    page = page_of(folder)
    assert page.count('data:image/webp;base64,') == 9 * 6
    assert all('alt="' in tag for tag in re.findall(r'<img [^>]*>', page))


def test_extremes_come_first_where_not_all_pictures_fit(folder):
    drawn = draw(read_results(folder / RESULTS), 3, 3)
    full = browse(folder, drawn.kept, drawn.vif)
    sizes = sum(path.stat().st_size for path in (folder / 'frames').rglob('*.webp'))
    frames = browse(folder, drawn.kept, drawn.vif, sizes // 3)
    assert 0 < len(frames.rows) < len(full.rows)
    assert frames.left_out == len(full.rows) - len(frames.rows)

    def extreme(rows):
        return min(min(rank.place - 1, rank.of - rank.place) for row in rows for rank in row.ranks
                   if rank.vif is not None)

    assert extreme(frames.rows) == extreme(full.rows)


def test_missing_and_foreign_pictures_are_not_shown(tmp_path):
    folder = make_folder(tmp_path / 'gone', methods=('a',), recordings=('one',), pairs=9)
    secret = tmp_path / 'secret_rgb.webp'
    secret.write_bytes(b'secret')
    for path in (folder / 'frames').rglob('*_thermal.webp'):
        path.unlink()
    lines = [json.loads(line) for line in (folder / RESULTS).read_text().splitlines()]
    lines[0]['frames'] = '../secret'
    (folder / RESULTS).write_text('\n'.join(map(json.dumps, lines)))
    page = page_of(folder)
    assert page.count('data:image/webp') == 2 * 3
    assert page.count('no picture') == 2 + 4
    assert 'c2VjcmV0' not in page


def test_errors_name_the_file(tmp_path):
    with pytest.raises(SourceError, match=r'summary\.json'):
        write_report(tmp_path)
    folder = make_folder(tmp_path / 'full', methods=('a',), recordings=('one',), pairs=3, kept=0)
    (folder / 'report.html').mkdir()
    with pytest.raises(OutputError, match=r'report\.html'):
        write_report(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        'report.html', 'results.jsonl', 'run.json', 'summary.json']


def test_the_same_folder_gives_the_same_page(folder):
    assert page_of(folder) == page_of(folder)


@pytest.mark.parametrize(('value', 'places', 'text'), [
    (0.45678, 3, '0.457'), (-0.0001, 2, '0.00'), (-1.5, 1, '\N{MINUS SIGN}1.5'),
    (12345.6, 0, '12,346'), (math.nan, 2, '\N{EN DASH}'), (None, 2, '\N{EN DASH}')])
def test_numbers(value, places, text):
    assert number(value, places) == text


def test_digits_and_shares():
    assert [decimals([value]) for value in (0.4567, 6.9, 45.1, 4500.0)] == [3, 2, 1, 0]
    assert interval(-0.1, 0.2, 1) == '\N{MINUS SIGN}0.1 to 0.2'
    assert interval(0.1, None, 1) == ''
    assert [percent(part, 10_000) for part in (0, 1, 500, 9_999, 10_000)] == [
        '0 %', '< 0.1 %', '5.0 %', '> 99.9 %', '100 %']
