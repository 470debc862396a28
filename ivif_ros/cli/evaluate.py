# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure fusion methods on recordings, offline, with the pairing and the pipeline of the robot.

Recordings are rosbag2 folders, .mcap, .db3 or ROS 1 .bag files, folders with rgb/ and thermal/
(images: each pair by itself, or a stream with --rate; videos: each a recording), and folders of all
these. What is written to --out: report.html, results.jsonl (a record for each pair and method),
summary.json, summary.csv, run.json and frames/.

What is finished is kept: the same command goes on where it was interrupted, and computes only what
is new after a recording or a method was added.

Every pair is fused, as on the robot, since fusion.steadiness lets the fused image depend on the
images before. --quick fuses the pairs that are measured alone.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ivif_ros.cli.console import progress_bar, table, warn
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.options import add_fusion_options, add_parameter_options, parameters_from
from ivif_ros.errors import MissingDependencyError, ParameterError
from ivif_ros.metrics.catalogue import FUSION

if TYPE_CHECKING:
    from ivif_ros.evaluation.records import Summary
    from ivif_ros.evaluation.run import Evaluated
    from ivif_ros.parameters import Parameters

QUICK = {'fusion.steadiness': 0.0, 'registration.period_ms': 3000.0,
         'sync.offset_estimation': 'off'}
"""Parameters of --quick, where --set says nothing else."""
SHOWN = ('MI', 'SCD', 'VIF', 'Qabf', 'SSIM', 'dE')
"""Metrics of the table in the terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('sources', metavar='BAG_OR_DIR', nargs='+',
                        help='recordings, folders of pairs, or folders of recordings')
    parser.add_argument('--methods', metavar='A,B,C',
                        help='fusion methods, separated by commas (default: fusion.method)')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR',
                        help='folder for the results')
    parser.add_argument('--every', type=int, metavar='K',
                        help='measure each K-th pair (default: 10 in streams, 1 of stills)')
    parser.add_argument('--metrics', metavar='A,B,C',
                        help=f"fusion metrics (default: all, {', '.join(FUSION)}); VIF, Qabf, "
                        'MS-SSIM and dE take most of the time')
    parser.add_argument('--labels', type=Path, metavar='DIR',
                        help='true boxes: <stem>.txt in YOLO format, or truth/ of ivif sim --pairs')
    parser.add_argument('--truth', type=Path, metavar='FILE',
                        help='true registration: a file of ivif import, a calibration file with a '
                        'deformation, a table of homographies by stem, or truth/ of ivif sim '
                        '--pairs')
    parser.add_argument('--detect', nargs='?', const='', metavar='WEIGHTS',
                        help='find objects in RGB, thermal and fused images, with these weights or '
                        'those of detection.weights')
    parser.add_argument('--fail-if', action='append', default=[], metavar='EXPR',
                        help="exit with 3 where this holds, such as 'fused.VIF<0.4', "
                        "'pyramid.latency.total.p99>100', 'fused.detection.fused.AP50<0.3', "
                        "'fused.registration.EPE>3' or 'fused.failed>0'; fused stands for each "
                        'method; may be repeated')
    work = parser.add_argument_group('work')
    work.add_argument('--jobs', type=int, metavar='N',
                      help='processes side by side (default: one for each core)')
    work.add_argument('--dask', metavar='ADDRESS',
                      help='let the workers of this Dask scheduler do it, such as '
                      'tcp://host:8786; they need recordings and --out under the same paths')
    work.add_argument('--quick', action='store_true',
                      help='several times faster, not exactly the images of the robot: fuse the '
                      'measured pairs alone, estimate the registration every 3 s and the time '
                      'offset not at all')
    work.add_argument('--fresh', action='store_true', help='compute what is finished again')
    work.add_argument('--keep', type=int, default=3, metavar='N',
                      help='keep pictures of the N best, median and worst pairs of each recording '
                      '(default: %(default)s)')
    work.add_argument('--no-report', action='store_true', help='do not make report.html')
    source = parser.add_argument_group('recordings')
    source.add_argument('--rate', type=float, metavar='HZ',
                        help='the images of a folder are a stream of this rate')
    source.add_argument('--seconds', type=float, metavar='S',
                        help='use this much of each stream')
    source.add_argument('--rgb-topic', metavar='T', help='images of the colour camera')
    source.add_argument('--thermal-topic', metavar='T', help='images of the thermal camera')
    source.add_argument('--no-register', action='store_true', help='the images are aligned already')
    source.add_argument('--calibration', metavar='FILE', help='calibration of the rig (YAML)')
    add_fusion_options(parser)
    add_parameter_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, make the report, and print what came of it."""
    from ivif_ros.evaluation.recordings import How, find_recordings
    from ivif_ros.evaluation.run import Evaluation, evaluate, finished_parts
    from ivif_ros.evaluation.thresholds import parse_threshold

    params = _parameters(args)
    methods = ([name.strip() for name in args.methods.split(',') if name.strip()]
               if args.methods else [params.fusion.method])
    metrics = ([key.strip() for key in args.metrics.split(',') if key.strip()]
               if args.metrics else list(FUSION))
    _check_numbers(args)
    evaluation = Evaluation(
        find_recordings(args.sources, How(
            args.rate, args.seconds, args.rgb_topic, args.thermal_topic)),
        methods, params, args.out, every=args.every, labels=args.labels, truth=args.truth,
        detect=args.detect is not None, keep=args.keep,
        metrics=metrics,
        thresholds=[parse_threshold(text, methods) for text in args.fail_if],
        jobs=None if args.dask else args.jobs or os.cpu_count() or 1, fresh=args.fresh,
        command=_command(args))
    print(f'{len(evaluation.recordings)} recordings by {len(methods)} methods: {args.out}')
    try:
        with ExitStack() as stack:
            if args.dask:
                stack.enter_context(_dask(args.dask))
            show = stack.enter_context(progress_bar('evaluate, s', evaluation.work_s))
            done = evaluate(evaluation, show)
    except KeyboardInterrupt:
        warn(f'{finished_parts(evaluation)} of {len(evaluation.recordings) * len(methods)} '
             'recordings by methods are finished and kept; the same command goes on')
        raise
    report = None if args.no_report else _report(args.out)
    _print(done, report)
    return _exit_code(done)


def _parameters(args: argparse.Namespace) -> Parameters:
    """Parameters of the command line."""
    values: dict[str, object] = {}
    if args.quick:
        given = {text.partition('=')[0].strip() for text in args.set}
        values.update({name.replace('.', '__'): value for name, value in QUICK.items()
                       if name not in given})
    if args.no_register:
        values['registration__mode'] = 'none'
    if args.detect:
        values['detection__weights'] = args.detect
    params = parameters_from(args, **values)
    if args.detect is not None and not params.detection.weights:
        raise ParameterError('--detect needs a model: give its file, or set detection.weights')
    return params


def _check_numbers(args: argparse.Namespace) -> None:
    for name, least in (('every', 1), ('jobs', 1), ('keep', 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise ParameterError(f'--{name} is {value}, expected at least {least}')


@contextmanager
def _dask(address: str) -> Iterator[None]:
    """Connect to a scheduler and let joblib use it."""
    try:
        import joblib
        from distributed import Client
    except ImportError as error:
        raise MissingDependencyError(
            "--dask needs the Python packages joblib and distributed: pip install joblib "
            "'dask[distributed]'") from error
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ParameterError(f"no Dask scheduler answers at '{address}': {error}") from error
    with client, joblib.parallel_config(backend='dask', n_jobs=-1):
        yield


def _report(out: Path) -> Path | None:
    """Make the page; without the packages that it needs, everything else is there still."""
    from ivif_ros.evaluation.report import write_report

    try:
        return write_report(out)
    except MissingDependencyError as error:
        warn(f'no report.html: {error}')
        return None


def _print(done: Evaluated, report: Path | None) -> None:
    summary = done.summary
    if done.reused:
        print(f'{done.reused} of {done.parts} were finished before')
    columns = [key for key in FUSION if key in SHOWN]
    rows = []
    for method, one in summary.methods.items():
        row = [method, str(one.pairs), str(one.failed)]
        for key in columns:
            value = one.metrics.get(key)
            row.append('' if value is None else f'{value.mean:.3f}')
        row.append(f"{one.latency_ms['total']['p50']:.1f}" if 'total' in one.latency_ms else '')
        rows.append(row)
    measured = max((value.n for one in summary.methods.values()
                    for value in one.metrics.values()), default=0)
    table(f'means over {measured} measured pairs',
          ('method', 'pairs', 'failed', *columns, 'median ms'), rows)
    _print_detection(summary)
    for name, recording in summary.recordings.items():
        for error in dict.fromkeys(recording.errors.values()):
            warn(f'{name}: {error}')
    run = summary.run
    if run.real_time_factor is not None:
        print(f'{run.real_time_factor:.1f} times real time ({run.seconds:.0f} s, {run.jobs} '
              f"{'process' if run.jobs == 1 else 'processes'})")
    for verdict in done.verdicts:
        print(f"{'FAILED' if verdict.failed else 'passed'}: {verdict.text} ({verdict.words})")
    if report is not None:
        print(f'report: {report}')


def _print_detection(summary: Summary) -> None:
    if summary.detection is None:
        return
    rows = [(method, modality, *(f'{figures[key]:.3f}' for key in ('AP50', 'mAP50-95', 'recall')))
            for method, by_modality in summary.detection.items()
            for modality, figures in by_modality.items()]
    table('detection', ('method', 'image', 'AP50', 'mAP50-95', 'recall'), rows)


def _exit_code(done: Evaluated) -> ExitCode:
    if any(verdict.failed for verdict in done.verdicts):
        return ExitCode.THRESHOLD
    summary = done.summary
    failed = sum(one.failed for one in summary.methods.values())
    broken = sum(len(one.errors) for one in summary.recordings.values())
    return ExitCode.of(sum(one.pairs for one in summary.methods.values()), failed + broken)


def _command(args: argparse.Namespace) -> str:
    """The command in short, for the report."""
    words = ['ivif', 'evaluate', *args.sources, '--methods', args.methods or '']
    return shlex.join(word for word in words if word)
