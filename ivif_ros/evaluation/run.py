# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""An evaluation from end to end: what is missing is computed side by side, then summed up.

Work is shared out by joblib, to processes of this machine or to whatever backend is in force:

    with distributed.Client('tcp://scheduler:8786'):
        with joblib.parallel_config(backend='dask', n_jobs=-1):
            evaluate(evaluation)  # whose `jobs` is None

Each worker reads the recordings and writes its parts itself, so that machines of a cluster need
both under the same paths.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ivif_ros import __version__
from ivif_ros.detection.base import OURS, SHIPPED
from ivif_ros.errors import MissingDependencyError, ParameterError, SourceError
from ivif_ros.evaluation.job import Job, run_job
from ivif_ros.evaluation.labels import Labels
from ivif_ros.evaluation.parts import Part, remove_unfinished, write_atomically, writing
from ivif_ros.evaluation.recordings import Recording
from ivif_ros.evaluation.records import (
    RESULTS,
    RUN,
    SUMMARY,
    TABLE,
    RunInfo,
    Summary,
    read_results,
    read_run,
    to_json,
)
from ivif_ros.evaluation.summary import merge, table_text
from ivif_ros.evaluation.thresholds import Threshold, Verdict
from ivif_ros.evaluation.truth import RegistrationTruth
from ivif_ros.fusion import registry
from ivif_ros.metrics.catalogue import FUSION
from ivif_ros.parameters import Parameters
from ivif_ros.parameters.spec import replace as changed
from ivif_ros.parameters.spec import to_dict

EVERY = 10
"""Each how many-th pair of a stream is measured unless somebody says so; of stills, each one."""
LOOK_S = 0.3
"""Seconds between two looks at the progress of the jobs."""
FILES = ('registration.calibration', 'fusion.weights', 'detection.weights')
"""Parameters that name files."""
PACKAGES = ('numpy', 'torch', 'opencv-python', 'rosbags', 'joblib', 'ultralytics')

Progress = Callable[[float], None]
"""Told how much is done, in the units of `Evaluation.work_s`."""


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate.

    Attributes:
        recordings: see `find_recordings`.
        methods: fusion methods.
        params: all parameters but `fusion.method`.
        out: folder for the results; what is finished in it is used again.
        every: each how many-th pair is measured; None: EVERY of streams, each of stills.
        labels: folder of labels, or None.
        truth: file or folder of the registration truth, or None.
        detect: whether to look for objects, with `detection.weights`.
        keep: best, median and worst pairs of each recording to keep pictures of.
        metrics: keys of the fusion metrics to compute.
        thresholds: conditions to check.
        jobs: processes; None takes what joblib's backend in force says.
        fresh: whether to compute what is finished again.
        command: words of the command line, for the report.
    """

    recordings: Sequence[Recording]
    methods: Sequence[str]
    params: Parameters
    out: Path
    every: int | None = None
    labels: Path | None = None
    truth: Path | None = None
    detect: bool = False
    keep: int = 3
    metrics: Sequence[str] = tuple(FUSION)
    thresholds: Sequence[Threshold] = ()
    jobs: int | None = None
    fresh: bool = False
    command: str = ''

    @property
    def work_s(self) -> float:
        """Seconds of all streams, and one for each still, times the methods."""
        return sum(one.length_s for one in self.recordings) * len(self.methods)

    def every_of(self, recording: Recording) -> int:
        """Each how many-th pair of a recording is measured."""
        return self.every or (1 if recording.stills else EVERY)


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation.

    Attributes:
        summary: as written to summary.json.
        verdicts: what became of the thresholds.
        reused: parts that were finished before, of `parts`.
        parts: pairs of recording and method.
    """

    summary: Summary
    verdicts: list[Verdict]
    reused: int
    parts: int


def evaluate(evaluation: Evaluation, progress: Progress | None = None) -> Evaluated:
    """Run an evaluation and write everything but the page.

    Raises:
        ParameterError: nothing to evaluate, or parameters that cannot be used.
        SourceError: labels that match no pair, truth that cannot be read, or not one recording that
            can be read.
        OutputError: the results cannot be written; what is finished stays.
        MissingDependencyError: joblib, or a package that a method needs, is not installed.
    """
    started, clock = datetime.now().astimezone(), time.perf_counter()
    evaluation = _absolute(evaluation)
    _check(evaluation)
    with writing(evaluation.out):
        evaluation.out.mkdir(parents=True, exist_ok=True)
        remove_unfinished(evaluation.out)
    keys = _keys(evaluation)
    missing = [(part, key) for part, key in keys
               if evaluation.fresh or not part.finished(key)]
    n_jobs = _run(evaluation, missing, progress)
    run = _run_info(evaluation, started.isoformat(timespec='seconds'), n_jobs)
    run = _timed(run, evaluation, [part for part, _ in missing], time.perf_counter() - clock)
    summary = merge(evaluation.out, evaluation.recordings, evaluation.methods, run,
                    evaluation.params.detection.confidence)
    verdicts = [threshold.judge(summary) for threshold in evaluation.thresholds]
    run = replace(run, thresholds={verdict.text: not verdict.failed for verdict in verdicts})
    summary = replace(summary, run=run)
    write_atomically(evaluation.out / TABLE, table_text(summary))
    write_atomically(evaluation.out / SUMMARY, _pretty(summary))
    write_atomically(evaluation.out / RUN, _pretty(run))
    _complain(evaluation, summary)
    return Evaluated(summary, verdicts, len(keys) - len(missing), len(keys))


def finished_parts(evaluation: Evaluation) -> int:
    """Number of parts that are finished, for whoever was interrupted."""
    return sum(part.finished(key) for part, key in _keys(_absolute(evaluation)))


def _absolute(evaluation: Evaluation) -> Evaluation:
    """Name files so that workers in other folders find them."""
    labels, truth = (None if path is None else path.absolute()
                     for path in (evaluation.labels, evaluation.truth))
    return replace(evaluation, out=evaluation.out.absolute(), labels=labels, truth=truth)


def _check(evaluation: Evaluation) -> None:
    """Complain now about what would only show after minutes."""
    if not evaluation.methods or not evaluation.recordings:
        raise ParameterError('nothing to evaluate: give at least one recording and one method')
    if len(set(evaluation.methods)) < len(evaluation.methods):
        raise ParameterError(f"a method is named twice: {', '.join(evaluation.methods)}")
    if evaluation.every is not None and evaluation.every < 1:
        raise ParameterError(f'every is {evaluation.every}, expected at least 1')
    unknown = [key for key in evaluation.metrics if key not in FUSION]
    if unknown or not evaluation.metrics:
        raise ParameterError(f"metrics are {', '.join(evaluation.metrics) or 'none'}, expected "
                             f"some of {', '.join(FUSION)}")
    for method in evaluation.methods:
        if method not in registry.names():
            registry.create(method)  # loads a file, or says which names there are
    truth = RegistrationTruth(evaluation.truth)
    known = [name for one in evaluation.recordings for name in _names(one)]
    every_stream_named = all(_names(one) for one in evaluation.recordings)
    if truth.names and every_stream_named and not truth.names.intersection(known):
        raise SourceError(f"truth '{evaluation.truth}' knows none of the pairs "
                          f"({', '.join(known[:3])}, ...)")
    if evaluation.labels is not None:
        labels = Labels(evaluation.labels)
        if not evaluation.detect:
            raise ParameterError('labels are for detection: name a detector as well (--detect, or '
                                 'detection.weights)')
        if every_stream_named:
            labels.check_match(known)


def _names(recording: Recording) -> list[str]:
    """Names of the pairs, where they are known before they are read."""
    return [pair.stem for pair in recording.stills] or list(recording.names)


def _keys(evaluation: Evaluation) -> list[tuple[Part, str]]:
    """All parts with what they must be made of."""
    parts = []
    common = {'version': __version__, 'keep': evaluation.keep,
              'metrics': list(evaluation.metrics), 'detect': evaluation.detect,
              'labels': _file_state(evaluation.labels), 'truth': _file_state(evaluation.truth)}
    for recording in evaluation.recordings:
        source = {'recording': recording.fingerprint(), 'every': evaluation.every_of(recording),
                  'known': _file_state(recording.truth_file())}
        for method in evaluation.methods:
            values = to_dict(changed(evaluation.params, {'fusion.method': method}))
            files = [_file_state(SHIPPED if values[name] == OURS else Path(str(values[name])))
                     for name in FILES if values[name]]
            files += [_file_state(Path(method.partition(':')[2])) if ':' in method else '']
            text = json.dumps([common, source, values, files], sort_keys=True)
            parts.append((Part(evaluation.out, recording.name, method),
                          hashlib.sha256(text.encode()).hexdigest()))
    return parts


def _file_state(path: Path | None) -> str:
    """Text that changes with a file or with the files of a folder."""
    if path is None or not path.exists():
        return str(path)
    files = sorted(path.rglob('*')) if path.is_dir() else [path]
    states = [f'{file} {file.stat().st_size} {file.stat().st_mtime_ns}' for file in files
              if file.is_file()]
    return hashlib.sha256('\n'.join(states).encode()).hexdigest()


def _run(evaluation: Evaluation, missing: Sequence[tuple[Part, str]],
         progress: Progress | None) -> int:
    """Compute the missing parts; returns how many processes did it."""
    try:
        import joblib
    except ImportError as error:
        raise MissingDependencyError(
            "evaluation needs the Python package joblib, which is not installed: pip install "
            "'ivif_ros[evaluate]'") from error
    at_once = max(1, int(joblib.effective_n_jobs(evaluation.jobs)))
    jobs = _share_out(evaluation, missing, at_once)
    at_once = min(at_once, max(1, len(jobs)))
    cores = os.cpu_count() or 1
    # The pipeline waits for figures longer than they for it: it needs no core of its own.
    threads = cores // at_once if cores > at_once else 0
    jobs = [replace(job, threads=threads) for job in jobs]
    done_before = evaluation.work_s - sum(job.work_s for job in jobs)
    with _watched(jobs, done_before, progress):
        joblib.Parallel(n_jobs=None if evaluation.jobs is None else at_once)(
            joblib.delayed(run_job)(job) for job in jobs)
    return at_once


def _share_out(evaluation: Evaluation, missing: Sequence[tuple[Part, str]],
               at_once: int) -> list[Job]:
    """Make jobs, long ones first.

    Methods of a recording share its decoding and registration, so that they stay together unless
    there are fewer recordings than processes.
    """
    by_recording: dict[str, dict[str, str]] = {}
    for part, key in missing:
        by_recording.setdefault(part.recording, {})[part.method] = key
    pieces = math.ceil(at_once / max(1, len(by_recording)))
    jobs = []
    for recording in evaluation.recordings:
        keys = list(by_recording.get(recording.name, {}).items())
        for piece in range(min(pieces, len(keys))):
            jobs.append(Job(
                recording, dict(keys[piece::pieces]), evaluation.params, evaluation.out,
                evaluation.every_of(recording), evaluation.labels, evaluation.truth,
                evaluation.detect, evaluation.keep, tuple(evaluation.metrics)))
    return sorted(jobs, key=lambda job: -job.work_s)


@contextmanager
def _watched(jobs: Sequence[Job], before: float, progress: Progress | None) -> Iterator[None]:
    """Tell the progress of jobs in other processes, which they note in files."""
    if progress is None or not jobs:
        yield
        return
    stop = threading.Event()

    def done_of(job: Job) -> float:
        if all(Part(job.out, job.recording.name, method).finished(key)
               for method, key in job.keys.items()):
            return job.work_s
        try:
            return min(float(job.progress_file.read_text()), job.work_s)
        except (OSError, ValueError):  # not begun, or just being written
            return 0.0

    def look() -> None:
        while not stop.wait(LOOK_S):
            progress(before + sum(map(done_of, jobs)))

    thread = threading.Thread(target=look, name='progress', daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _run_info(evaluation: Evaluation, started: str, n_jobs: int) -> RunInfo:
    versions = {'ivif_ros': __version__, 'python': platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    from ivif_ros.fusion.device import select_device

    device, reason = select_device(evaluation.params.fusion.device)
    first = changed(evaluation.params, {'fusion.method': evaluation.methods[0]})
    detector = Path(evaluation.params.detection.weights).name if evaluation.detect else ''
    return RunInfo(
        sources={one.name: one.description for one in evaluation.recordings},
        methods=list(evaluation.methods), parameters=to_dict(first),
        every=max((evaluation.every_of(one) for one in evaluation.recordings), default=1),
        labels=str(evaluation.labels or ''), truth=str(evaluation.truth or ''), detector=detector,
        versions=versions, started=started, jobs=n_jobs, command=evaluation.command,
        machine={'cpu': _cpu(), 'cores': str(os.cpu_count() or 1), 'device': str(device),
                 'device_reason': reason, 'system': platform.platform(terse=True)})


def _timed(run: RunInfo, evaluation: Evaluation, made: Sequence[Part], seconds: float) -> RunInfo:
    """Add how long it took; where nothing was left to do, how long it took the last time."""
    if not made:
        try:
            before = read_run(evaluation.out)
        except SourceError:
            return replace(run, seconds=seconds)
        return replace(run, seconds=before.seconds, real_time_factor=before.real_time_factor)
    infos = [info for part in made if (info := part.info()) is not None]
    streamed = sum(info.duration_s for info in infos)
    return replace(run, seconds=seconds,
                   real_time_factor=streamed / seconds if streamed else None)


def _complain(evaluation: Evaluation, summary: Summary) -> None:
    """Say what makes the results worthless; they are written by now."""
    errors = [error for one in summary.recordings.values() for error in one.errors.values()]
    if errors and not any(one.pairs for one in summary.methods.values()):
        raise SourceError(f'nothing could be evaluated: {errors[0]}')
    if evaluation.labels is not None and summary.detection is None:
        first = itertools.islice(read_results(evaluation.out / RESULTS), 3)
        Labels(evaluation.labels).check_match(
            record.name or str(record.stamp_ns) for record in first)


def _cpu() -> str:
    """Name of the processor."""
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _pretty(record: Any) -> str:
    return json.dumps(to_json(record), indent=1) + '\n'
