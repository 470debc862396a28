# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole evaluations of small real recordings: figures, resumption, failures, other backends."""

import csv
import errno
import json
import shutil
from pathlib import Path

import cv2
import joblib
import numpy as np
import pytest
from synthetic_bags import START_NS, write_bag, write_bag1

from ivif_ros.bags.replay import replay
from ivif_ros.errors import OutputError, ParameterError, SourceError
from ivif_ros.evaluation import parts, run
from ivif_ros.evaluation.recordings import How, find_recordings
from ivif_ros.evaluation.records import PairRecord, read_results, read_run, read_summary
from ivif_ros.evaluation.run import Evaluation, evaluate
from ivif_ros.fusion import registry
from ivif_ros.metrics.fusion import visual_information_fidelity
from ivif_ros.parameters import Parameters
from ivif_ros.parameters.spec import replace as changed
from ivif_ros.pipeline import Pipeline
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.sources import open_source
from ivif_ros.sources.folder import FolderSource

SIZE = 160, 120
PARAMS = changed(Parameters(), {'registration.mode': 'none', 'sync.offset_estimation': 'off'})


@pytest.fixture(scope='module')
def images(shared_data):
    """Real frames of three pairs, made small: [(rgb, thermal), ...]."""
    folder = shared_data / 'm3svd_stills'
    pairs = []
    for path in sorted((folder / 'rgb').iterdir())[:3]:
        rgb = cv2.imread(str(path))
        thermal = cv2.imread(str(folder / 'thermal' / path.name), cv2.IMREAD_GRAYSCALE)
        pairs.append((cv2.resize(rgb, SIZE, interpolation=cv2.INTER_AREA),
                      cv2.resize(thermal, SIZE, interpolation=cv2.INTER_AREA)))
    return pairs


@pytest.fixture(scope='module')
def bags(images, tmp_path_factory):
    """A folder of two recordings: the camera glides over a real scene."""
    folder = tmp_path_factory.mktemp('bags')
    for name, (rgb, thermal) in zip(('first', 'second'), images, strict=False):
        write_bag(folder / name, 24, hz=20.0, infos=False,
                  rgb=lambda i, image=rgb: np.roll(image, i, axis=1),
                  thermal=lambda i, image=thermal: np.roll(image, i, axis=1).astype(np.uint16) * 40)
    return folder


@pytest.fixture(scope='module')
def stills(images, tmp_path_factory):
    """A folder of three pairs of images."""
    folder = tmp_path_factory.mktemp('stills')
    for index, pair in enumerate(images):
        for sensor, image in zip(('rgb', 'thermal'), pair, strict=True):
            (folder / sensor).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / sensor / f'{"abc"[index]}.png'), image)
    return folder


@pytest.fixture(scope='module')
def done(bags, tmp_path_factory):
    """An evaluation of both recordings by two methods."""
    out = tmp_path_factory.mktemp('done')
    evaluate(evaluation(bags, out))
    return out


def evaluation(folder, out, methods=('average', 'maximum'), how=None, **options):
    options = {'params': PARAMS, 'every': 4, 'jobs': 1, **options}
    return Evaluation(find_recordings([str(folder)], how), methods, out=out, **options)


def lines(out):
    """Records without what differs from run to run: times of this machine."""
    found = []
    for line in (out / 'results.jsonl').read_text().splitlines():
        record = json.loads(line)
        record.pop('latency_ms')
        found.append(record)
    return found


def test_a_bag_of_ros1_gives_the_figures_of_its_rosbag2_twin(tmp_path):
    rig = SimulatedRig(RigConfig(rgb_size=SIZE, thermal_size=SIZE))
    rgb, thermal = ([render(i / 10) for i in range(8)]
                    for render in (rig.render_rgb, rig.render_thermal))
    cameras = {'hz': 10.0, 'rgb': rgb.__getitem__, 'thermal': thermal.__getitem__}
    # The folder of a ROS 1 bag is a folder of recordings, not a recording that was not closed.
    write_bag(tmp_path / 'bags' / 'two', 8, **cameras)
    write_bag1(tmp_path / 'bags' / 'one.bag', 8, **cameras)
    found = evaluate(evaluation(tmp_path / 'bags', tmp_path / 'out'))
    assert {name: one.pairs for name, one in found.summary.recordings.items()} == {
        'one': 8, 'two': 8}
    by_recording = {'one': [], 'two': []}
    for record in lines(tmp_path / 'out'):
        del record['frames']    # named after the recording
        by_recording[record.pop('recording')].append(record)
    assert by_recording['one'] == by_recording['two']
    assert sum(record['metrics'] is not None for record in by_recording['one']) == 4
    assert all(record['mode'] == 'fused' for record in by_recording['one'])


def test_the_figures_are_those_of_the_robot(bags, done):
    """Every fourth result of a plain replay, measured by hand, has the VIF of the record."""
    pipeline = Pipeline(changed(PARAMS, {'fusion.method': 'maximum'}))
    results = []
    with open_source(bags / 'second') as source:
        replay(source, None, pipeline, pipeline.params, on_result=results.append)
    records = [record for record in read_results(done / 'results.jsonl')
               if (record.recording, record.method) == ('second', 'maximum')]
    assert [record.stamp_ns for record in records] == [one.pair.stamp_ns for one in results]
    assert [record.metrics is not None for record in records] == [i % 4 == 0 for i in range(24)]
    for record, result in list(zip(records, results, strict=True))[::4]:
        grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                for image in (result.fused, result.pair.rgb.image)]
        expected = sum(visual_information_fidelity(grey[0], source)
                       for source in (result.thermal_registered, grey[1])) / 2
        assert record.metrics['VIF'] == pytest.approx(expected, abs=1e-9)
        assert record.mode == 'fused'
        assert record.skew_ms == pytest.approx(2.0)
        assert record.latency_ms['total'] == pytest.approx(sum(
            value for stage, value in record.latency_ms.items() if stage != 'total'))


def test_what_is_written(done):
    summary = read_summary(done)
    assert summary.run == read_run(done)
    assert list(summary.recordings) == ['first', 'second']
    assert summary.recordings['first'].duration_s == pytest.approx(23 / 20, abs=0.01)
    for method in ('average', 'maximum'):
        means = [summary.recordings[name].methods[method]['VIF'] for name in ('first', 'second')]
        vif = summary.methods[method].metrics['VIF']
        assert vif.mean == pytest.approx(np.mean(means))
        assert vif.low <= vif.mean <= vif.high
        assert (vif.n, vif.over) == (12, 'recordings')
        assert summary.methods[method].pairs == 48
        assert summary.methods[method].flicker['pairs'] == 46
        assert set(summary.methods[method].latency_ms['total']) == {'p50', 'p90', 'p99'}
    rows = list(csv.DictReader((done / 'summary.csv').open()))
    assert [(row['recording'], row['method']) for row in rows] == [
        (name, method) for name in ('all', 'first', 'second') for method in ('average', 'maximum')]
    assert float(rows[0]['VIF']) == summary.methods['average'].metrics['VIF'].mean
    kept = [record for record in read_results(done / 'results.jsonl') if record.frames]
    assert {(record.recording, record.method) for record in kept} == {
        (name, method) for name in ('first', 'second') for method in ('average', 'maximum')}
    for record in kept:
        for picture in ('rgb', 'thermal', 'registered', 'fused'):
            image = cv2.imread(str(done / f'{record.frames}_{picture}.webp'))
            assert image.shape == (120, 160, 3)
    assert len(list((done / 'frames').rglob('*.webp'))) == 4 * len(kept)


def test_what_runs_side_by_side_does_not_show_in_the_results(bags, done, tmp_path):
    with joblib.parallel_config(backend='threading', n_jobs=4):
        evaluated = evaluate(evaluation(bags, tmp_path, jobs=None))
    assert evaluated.summary.run.jobs == 4
    assert evaluated.summary == read_summary(tmp_path)
    assert lines(tmp_path) == lines(done)
    pictures = [{path.name: path.read_bytes() for path in out.rglob('*.webp')}
                for out in (tmp_path, done)]
    assert pictures[0] == pictures[1]
    assert (read_summary(tmp_path).methods['average'].metrics
            == read_summary(done).methods['average'].metrics)


def test_only_what_is_missing_is_computed(bags, done, tmp_path):
    out = tmp_path / 'out'
    shutil.copytree(done, out)
    stamps = {path: path.stat().st_mtime_ns for path in out.glob('parts/*/*/part.json')}
    assert len(stamps) == 4
    shutil.rmtree(out / 'parts' / 'second' / 'maximum')
    again = evaluate(evaluation(bags, out))
    assert (again.reused, again.parts) == (3, 4)
    assert [path.parent.name for path, stamp in stamps.items()
            if path.stat().st_mtime_ns != stamp] == ['maximum']
    assert lines(out) == lines(done)


def test_what_was_made_in_another_way_is_not_used(bags, done):
    other = changed(PARAMS, {'fusion.emphasis': 0.4})
    assert run.finished_parts(evaluation(bags, done)) == 4
    assert run.finished_parts(evaluation(bags, done, ('average', 'pyramid'))) == 2
    assert run.finished_parts(evaluation(bags, done, params=other)) == 0
    assert run.finished_parts(evaluation(bags, done, every=5)) == 0
    assert run.finished_parts(evaluation(bags, done, how=How(seconds=0.5))) == 0


def test_an_interrupted_evaluation_goes_on(bags, done, tmp_path, monkeypatch):
    record = parts.PartWriter.record
    seen = []

    def interrupted(self, line):
        seen.append(line)
        if len(seen) == 60:  # in the middle of the second recording
            raise KeyboardInterrupt
        record(self, line)

    out = tmp_path / 'cut'
    with monkeypatch.context() as patch:
        patch.setattr(parts.PartWriter, 'record', interrupted)
        with pytest.raises(KeyboardInterrupt):
            evaluate(evaluation(bags, out))
    assert not list(out.rglob(f'{parts.UNFINISHED}*'))
    assert run.finished_parts(evaluation(bags, out)) == 2
    assert evaluate(evaluation(bags, out)).reused == 2
    assert lines(out) == lines(done)


def test_a_full_disk_keeps_what_is_finished(bags, tmp_path, monkeypatch):
    finish = parts.PartWriter.finish

    def full(self, info):
        if info.recording == 'second':
            with parts.writing(self.part.folder):
                raise OSError(errno.ENOSPC, 'No space left on device')
        finish(self, info)

    with monkeypatch.context() as patch:
        patch.setattr(parts.PartWriter, 'finish', full)
        with pytest.raises(OutputError, match=r'second.*No space left.*same command'):
            evaluate(evaluation(bags, tmp_path))
    assert not (tmp_path / 'results.jsonl').exists()
    assert run.finished_parts(evaluation(bags, tmp_path)) == 2


class Moody:
    """Takes the mean, but not of the fourth pair, which is bright."""

    calls = 0

    def __call__(self, visible, thermal, weight):
        Moody.calls += 1
        if Moody.calls == 5:
            raise RuntimeError('no memory\nfor this pair')
        return (visible + thermal) / 2


def test_a_method_that_fails_on_one_pair_loses_that_pair(bags, tmp_path):
    Moody.calls = 0
    if 'moody' not in registry.names():
        registry.register('moody')(Moody)
    done = evaluate(evaluation(bags / 'first', tmp_path, ('moody', 'average')))
    by_method = {method: [record for record in read_results(tmp_path / 'results.jsonl')
                          if record.method == method] for method in ('moody', 'average')}
    failed = [record for record in by_method['moody'] if record.error]
    assert [(record.index, record.error) for record in failed] == [
        (4, 'RuntimeError: no memory for this pair')]
    assert failed[0].metrics is None
    assert failed[0].mode == ''
    assert not any(record.error for record in by_method['average'])
    assert all(record.metrics for record in by_method['average'][::4])
    assert (done.summary.methods['moody'].pairs, done.summary.methods['moody'].failed) == (23, 1)


def test_a_pair_that_cannot_be_used_is_noted_for_all(stills, tmp_path):
    folder = tmp_path / 'stills'
    shutil.copytree(stills, folder)
    (folder / 'thermal' / 'b.png').write_bytes(b'no image')
    done = evaluate(evaluation(folder, tmp_path / 'out', every=None))
    records = list(read_results(tmp_path / 'out' / 'results.jsonl'))
    assert [(record.name, bool(record.error)) for record in records if record.method == 'average'
            ] == [('a', False), ('b', True), ('c', False)]
    assert 'b.png' in records[1].error
    assert done.summary.recordings['stills'].dropped == {'thermal.unreadable': 1}


def test_stills_stand_alone_and_a_rate_makes_them_a_stream(stills, tmp_path):
    evaluate(evaluation(stills, tmp_path / 'alone', every=None))
    alone = [record for record in read_results(tmp_path / 'alone' / 'results.jsonl')
             if record.method == 'average']
    pipeline = Pipeline(changed(PARAMS, {'fusion.method': 'average'}))
    files = FolderSource(stills).recordings[0]
    for record, pair in zip(alone, files, strict=True):
        from ivif_ros.sources.images import read_image
        from ivif_ros.types import Frame

        result = pipeline.process_still(
            Frame(1, 'rgb', read_image(pair.rgb, 'rgb')),
            Frame(1, 'thermal', read_image(pair.thermal, 'thermal')))
        expected = float(cv2.cvtColor(result.fused, cv2.COLOR_BGR2GRAY).std())
        assert record.metrics['SD'] == pytest.approx(expected, rel=1e-6)
        assert record.name == pair.stem
    done = evaluate(evaluation(stills, tmp_path / 'stream', how=How(rate_hz=5.0), every=1))
    stream = [record for record in read_results(tmp_path / 'stream' / 'results.jsonl')
              if record.method == 'average']
    assert [(record.name, record.time_s) for record in stream] == [('a', 0), ('b', 0.2), ('c', 0.4)]
    assert next(iter(done.summary.recordings.values())).duration_s == pytest.approx(0.4)


def test_without_steadiness_only_measured_pairs_are_fused(bags, tmp_path):
    params = changed(PARAMS, {'fusion.steadiness': 0.0})
    first = bags / 'first'
    evaluate(evaluation(first, tmp_path / 'some', ('average',), params=params))
    evaluate(evaluation(first, tmp_path / 'all', ('average',), params=params, every=1))
    some, every = (list(read_results(tmp_path / out / 'results.jsonl')) for out in ('some', 'all'))
    assert [record.stamp_ns for record in some] == [record.stamp_ns for record in every]
    assert all(('fusion' in record.latency_ms) == (record.index % 4 == 0) for record in some)
    for one, other in zip(some, every, strict=True):
        if one.index % 4 == 0:
            assert one.metrics == other.metrics
            assert one.registration == other.registration
    assert read_summary(tmp_path / 'some').methods['average'].flicker is None


def test_chosen_metrics_are_the_same_as_all(bags, done, tmp_path):
    evaluate(evaluation(bags / 'first', tmp_path, ('average',), metrics=('SSIM', 'EN')))
    chosen = [record for record in read_results(tmp_path / 'results.jsonl') if record.metrics]
    whole = {(record.recording, record.index): record for record in read_results(
        done / 'results.jsonl') if record.method == 'average'}
    for record in chosen:
        metrics = whole[record.recording, record.index].metrics
        assert record.metrics == {key: metrics[key] for key in ('EN', 'SSIM', 'SSIM_sum')}
    assert any(record.frames for record in chosen)


def test_a_damaged_recording_does_not_cost_the_others(bags, tmp_path):
    folder = tmp_path / 'bags'
    shutil.copytree(bags, folder)
    file = next((folder / 'first').glob('*.mcap'))
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    evaluated = evaluate(evaluation(folder, tmp_path / 'out', ('average',)))
    assert evaluated.summary.recordings['second'].pairs == 24
    assert evaluated.summary.recordings['first'].pairs == 0
    assert 'truncated' in evaluated.summary.recordings['first'].errors['average']
    assert run.finished_parts(evaluation(folder, tmp_path / 'out', ('average',))) == 1


def test_recordings_that_cannot_be_read_at_all_are_one_error(bags, tmp_path):
    recordings = find_recordings([str(bags)])
    gone = [recordings[0].__class__(
        'gone', str(tmp_path / 'gone'), How(), 'gone', 1.0)]
    with pytest.raises(SourceError, match='nothing could be evaluated'):
        evaluate(Evaluation(gone, ['average'], PARAMS, tmp_path / 'out', 4, jobs=1))
    done = evaluate(Evaluation([*gone, recordings[0]], ['average'], PARAMS, tmp_path / 'out', 4,
                               jobs=1))
    assert 'is not there' in done.summary.recordings['gone'].errors['average']
    assert done.summary.methods['average'].pairs == 24


@pytest.mark.parametrize(('options', 'error', 'words'), [
    ({'methods': ('avrage',)}, ParameterError, "did you mean 'average'"),
    ({'methods': ()}, ParameterError, 'at least one'),
    ({'methods': ('average', 'average')}, ParameterError, 'twice'),
    ({'every': 0}, ParameterError, 'at least 1'),
    ({'metrics': ('VIF', 'VOF')}, ParameterError, 'VOF'), ({'metrics': ()}, ParameterError, 'none'),
    ({'labels': Path('/nowhere')}, SourceError, 'not there'),
    ({'truth': Path('/nowhere')}, SourceError, 'not there')])
def test_what_cannot_work_is_refused_at_once(bags, tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        evaluate(evaluation(bags, tmp_path / 'out', **options))
    assert not (tmp_path / 'out').exists()


def test_truth_by_name_gives_the_error_of_the_registration(stills, tmp_path):
    # The images are aligned, but the truth says that all is two pixels farther right.
    width, height = SIZE
    (tmp_path / 'truth.json').write_text(json.dumps({name: {
        'H_crop_to_raw': [[1, 0, 2], [0, 1, 0], [0, 0, 1]], 'crop_wh': [width, height]}
        for name in 'abc'}))
    done = evaluate(evaluation(stills, tmp_path / 'out', every=None,
                               truth=tmp_path / 'truth.json'))
    assert done.summary.methods['average'].registration['EPE'].mean == pytest.approx(2, abs=1e-3)
    (tmp_path / 'other.json').write_text((tmp_path / 'truth.json').read_text().replace('"a"', '"x"')
                                         .replace('"b"', '"y"').replace('"c"', '"z"'))
    with pytest.raises(SourceError, match='knows none'):
        evaluate(evaluation(stills, tmp_path / 'out', truth=tmp_path / 'other.json'))


def test_a_dask_cluster_gives_the_same(bags, done, tmp_path):
    distributed = pytest.importorskip('distributed')
    with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None,
    ) as cluster, distributed.Client(cluster) as client, joblib.parallel_config(
            backend='dask', n_jobs=-1):
        evaluate(evaluation(bags, tmp_path, jobs=None))
        ran = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)
    assert ran > 0
    assert lines(tmp_path) == lines(done)


class TestRecordings:
    def test_a_folder_of_recordings_gives_each(self, bags, stills):
        found = find_recordings([str(bags), str(stills), str(bags / 'first')])
        assert [one.name for one in found] == ['first', 'second', stills.name, 'first-2']
        assert [len(one.stills) for one in found] == [0, 0, 3, 0]
        assert found[0].length_s == pytest.approx(23 / 20, abs=0.01)

    def test_each_video_is_a_recording(self, images, tmp_path):
        for sensor, index in (('rgb', 0), ('thermal', 1)):
            (tmp_path / sensor).mkdir()
            for name in ('day', 'night'):
                video = cv2.VideoWriter(str(tmp_path / sensor / f'{name}.avi'),
                                        cv2.VideoWriter.fourcc(*'MJPG'), 10, SIZE)
                for shift in range(5):
                    image = np.roll(images[0][index], shift, 1)
                    video.write(image if image.ndim == 3 else cv2.merge([image] * 3))
                video.release()
        found = find_recordings([str(tmp_path)])
        assert [one.name for one in found] == [f'{tmp_path.name}-day', f'{tmp_path.name}-night']
        with found[1].open() as source:
            assert sum(1 for _ in source.frames()) == 10
        with find_recordings([str(tmp_path)], How(seconds=0.25))[0].open() as source:
            assert sum(1 for _ in source.frames()) == 6

    def test_the_simulation_needs_an_end(self):
        with pytest.raises(SourceError, match='--seconds'):
            find_recordings(['sim'])

    def test_the_fingerprint_follows_the_files(self, stills, tmp_path):
        folder = tmp_path / 'copy'
        shutil.copytree(stills, folder)
        before = find_recordings([str(folder)])[0].fingerprint()
        assert find_recordings([str(folder)])[0].fingerprint() == before
        (folder / 'rgb' / 'a.png').write_bytes((folder / 'rgb' / 'b.png').read_bytes())
        assert find_recordings([str(folder)])[0].fingerprint() != before


def test_time_runs_from_the_first_pair(done):
    records: list[PairRecord] = list(read_results(done / 'results.jsonl'))
    assert records[0].stamp_ns == START_NS
    assert records[0].time_s == 0
    assert records[1].time_s == pytest.approx(0.05)
