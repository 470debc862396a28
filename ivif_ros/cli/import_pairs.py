# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Make a recording of a rig out of images or videos, with faults that are known exactly.

Folders with rgb/ and thermal/, a pair of videos, the simulated rig or another recording become a
rosbag2 recording with images and camera_info of both cameras on the topics rgb/... and thermal/...
Stamps are those of the video frames, or follow --rate. On top of that the clocks, the rates,
losses, the alignment and the encoding can be made worse in a known way: equal options and --seed
give an equal recording.

The topic /recording_description says how it was made. The truth (map and offset of the clocks)
stands in OUT.truth.json where it is known, where 'ivif evaluate OUT' finds it.

  ivif import DATA --out test --misalign 6 --skew-ms 40 --thermal-rate 9 --drop thermal=0.1
  ivif import --rgb colour.mp4 --thermal thermal.mp4 --out test --aligned
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ivif_ros.cli.console import progress_bar, table, warn
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.errors import ParameterError

if TYPE_CHECKING:
    from ivif_ros.bags.importing import Importer, ImportSummary, Intrinsics
    from ivif_ros.frame_source import FrameSource
    from ivif_ros.sources.disturbed import Blackout, Disturbance
    from ivif_ros.types import Sensor

DEFAULT_FOV_DEG = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('source', nargs='?', metavar='SOURCE', help='folder with rgb/ and thermal/ '
                        '(images or videos of matching names), sim, or a recording')
    parser.add_argument('--rgb', type=Path, metavar='PATH', help='in place of SOURCE: a colour '
                        'video, or a folder of colour images')
    parser.add_argument('--thermal', type=Path, metavar='PATH', help='its thermal partner')
    parser.add_argument('--out', required=True, type=Path, metavar='BAG',
                        help='rosbag2 folder to make; it must not exist')
    parser.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap',
                        help='default: mcap')
    parser.add_argument('--compress', choices=('none', 'png', 'jpeg', 'webp'), default='none',
                        help='images as CompressedImage; 16 bits as PNG (default: none)')
    parser.add_argument('--quality', type=int, default=85, metavar='Q',
                        help='1 to 100 for jpeg and webp (default: %(default)s)')
    parser.add_argument('--seconds', type=float, metavar='S', help='stop after this time')
    parser.add_argument('--rate', type=float, metavar='HZ', help='pairs per second; left out: the '
                        'times of the video frames, 10 Hz for images')
    cameras = parser.add_argument_group('cameras')
    cameras.add_argument('--calibration', metavar='FILE', help='calibration of the rig (YAML), for '
                         'camera_info; a deformation in it is taken for the truth')
    cameras.add_argument('--fov-deg', type=float, default=DEFAULT_FOV_DEG, metavar='DEG',
                         help='horizontal field of view of the colour camera to assume where '
                         'nobody knows its intrinsics (default: %(default)g)')
    cameras.add_argument('--thermal-fov-deg', type=float, metavar='DEG',
                         help='of the thermal camera (default: as --fov-deg)')
    cameras.add_argument('--aligned', action='store_true', help='the pairs lie on each other pixel '
                         'by pixel (registered data): write that as the truth')
    faults = parser.add_argument_group('faults')
    faults.add_argument('--seed', type=int, default=0, help='chooses everything random below')
    faults.add_argument('--skew-ms', type=float, default=0.0, metavar='MS', help='thermal stamps '
                        'are late by this: sync.thermal_offset_ms should be -MS')
    faults.add_argument('--jitter-ms', type=float, default=0.0, metavar='MS', help='standard '
                        'deviation of noise on all stamps')
    faults.add_argument('--delay-ms', type=float, default=0.0, metavar='MS', help='time from '
                        'exposure to reception')
    faults.add_argument('--thermal-rate', type=float, metavar='HZ', help='leave out thermal frames '
                        'down to this rate; those left keep their stamps')
    faults.add_argument('--rgb-rate', type=float, metavar='HZ', help='the same for RGB frames')
    faults.add_argument('--misalign', type=float, default=0.0, metavar='PX', help='deform thermal '
                        'images by PX thermal pixels on average (homography, lens and elastic '
                        'field); says that the pairs were aligned before, as --aligned')
    faults.add_argument('--drop', action='append', default=[], metavar='[CAMERA=]SHARE',
                        help='lose this share of the frames at random: 0.05, thermal=0.2; may be '
                        'repeated')
    faults.add_argument('--blackout', action='append', default=[], metavar='[CAMERA=]START+LENGTH',
                        help='no frames from START on for LENGTH seconds: 5+1.5, rgb=3+0.04; may '
                        'be repeated')
    faults.add_argument('--thermal-encoding', choices=('as-is', 'mono8', 'mono16'), default='as-is',
                        help='mono16: 16-bit counts, 4 per grey level, 0.04 K each; mono8: 8 bits '
                        'as a camera with gain control gives them')
    topics = parser.add_argument_group('when SOURCE is a recording')
    topics.add_argument('--rgb-topic', metavar='T', help='images of the colour camera; found by '
                        'type, name and encoding when left out')
    topics.add_argument('--thermal-topic', metavar='T', help='images of the thermal camera')


def run(args: argparse.Namespace) -> int:
    """Write the recording and print what is in it."""
    from ivif_ros.bags.importing import Importer, Intrinsics
    from ivif_ros.registration import load_calibration
    from ivif_ros.sources.disturbed import DisturbedSource
    from ivif_ros.sources.simulated import rig_config

    disturbance = disturbance_from(args)
    if not 1 <= args.quality <= 100:
        raise ParameterError(f'--quality is {args.quality}, expected 1 to 100')
    calibration = load_calibration(args.calibration) if args.calibration else None
    intrinsics = Intrinsics(calibration, args.fov_deg, args.thermal_fov_deg or args.fov_deg)
    simulated = args.source is not None and args.source.partition(':')[0] == 'sim'
    recorded = args.source is not None and not simulated and _names_a_recording(args.source)
    if args.rate is not None and (simulated or recorded):
        raise ParameterError('--rate is for images and videos; the frames of a recording and of '
                             'the simulated rig have stamps (sim:rgb_hz=20,thermal_hz=9)')
    if simulated and args.seconds is None:
        raise ParameterError('the simulated rig never ends: say how long with --seconds')
    with open_pairs(args) as source:
        # Frames of files belong together by name; what the clocks of a recording do nobody knows.
        offset_ms: float | None = None if recorded else -disturbance.skew_ms
        if simulated and offset_ms is not None:
            offset_ms -= rig_config(args.source).thermal_lag_s * 1e3
        importer = Importer(
            DisturbedSource(source, disturbance), intrinsics, calibration=calibration,
            aligned=args.aligned or (disturbance.misalign_px > 0 and not recorded),
            simulator=args.source if simulated else '', thermal_offset_ms=offset_ms)
        print(source.describe())
        length_ns = source.duration_ns()
        with progress_bar('import, s', None if length_ns is None else length_ns / 1e9) as show:
            done = importer.write(args.out, storage=args.storage, compression=args.compress,
                                  quality=args.quality, progress=show)
    print_import(done, disturbance, intrinsics, args.out)
    print_truth(done, importer)
    return ExitCode.DONE


def _names_a_recording(source: str) -> bool:
    from ivif_ros.sources.factory import is_bag

    path = Path(source).expanduser()
    return path.exists() and is_bag(path)


def open_pairs(args: argparse.Namespace) -> FrameSource:
    """Open what the arguments name.

    Raises:
        ParameterError: both or none of the two ways to name images.
        SourceError: it cannot be read.
    """
    from ivif_ros.sources import open_source
    from ivif_ros.sources.folder import FolderSource
    from ivif_ros.sources.shaping import LimitedSource

    if (args.rgb is None) != (args.thermal is None) or (args.source is None) == (args.rgb is None):
        raise ParameterError(
            'name the images once: a folder with rgb/ and thermal/, sim or a recording; or --rgb '
            'and --thermal')
    if args.source is not None:
        return open_source(args.source, seconds=args.seconds, rate_hz=args.rate,
                           rgb_topic=args.rgb_topic, thermal_topic=args.thermal_topic)
    source = FolderSource(args.rgb, rate_hz=args.rate, thermal=args.thermal)
    return source if args.seconds is None else LimitedSource(source, args.seconds)


def disturbance_from(args: argparse.Namespace) -> Disturbance:
    """Read the faults.

    Raises:
        ParameterError: a text that does not fit, or a value outside its range.
    """
    from ivif_ros.sources.disturbed import Disturbance

    shares: dict[Sensor, float] = {'rgb': 0.0, 'thermal': 0.0}
    for text in args.drop:
        sensor, value = _of_camera(text, '--drop')
        for name in shares if sensor is None else (sensor,):
            shares[name] = _number(value, text, '--drop', '0.05 or thermal=0.2')
    return Disturbance(
        seed=args.seed, skew_ms=args.skew_ms, jitter_ms=args.jitter_ms, delay_ms=args.delay_ms,
        rgb_rate_hz=args.rgb_rate, thermal_rate_hz=args.thermal_rate, drop_rgb=shares['rgb'],
        drop_thermal=shares['thermal'], blackouts=tuple(map(_blackout, args.blackout)),
        misalign_px=args.misalign, thermal_encoding=args.thermal_encoding.replace('-', '_'))


def print_import(done: ImportSummary, disturbance: Disturbance, intrinsics: Intrinsics,
                 out: Path) -> None:
    """Print what was written and what was left out."""
    rows = []
    for sensor, camera in done.cameras.items():
        rate = '' if math.isnan(camera.rate_hz) else f'{camera.rate_hz:.2f}'
        rows.append((camera.topic, str(camera.frames), f'{camera.size[0]}x{camera.size[1]}',
                     camera.encoding, rate))
        wanted = disturbance.rate_hz(sensor)
        if wanted is not None and not done.left_out.get(f'{sensor}.thinned'):
            warn(f'the source has no more than {wanted:g} Hz on {camera.topic}: frames can be left '
                 'out, not made up')
        if not camera.frames:
            warn(f'nothing was written on {camera.topic}')
    table(f'{out}, {done.bytes / 1e6:.1f} MB', ('topic', 'frames', 'size', 'encoding', 'Hz'), rows)
    for sensor in done.cameras:
        print(f'/{sensor}/camera_info: {intrinsics.words(sensor)}')
    for name, count in done.left_out.items():
        print(f'left out on purpose: {name} {count}')
    for name, count in done.problems.items():
        print(f'not usable: {name} {count}')
    for words in fault_words(disturbance):
        print(words)


def fault_words(what: Disturbance) -> list[str]:
    """Say in a line each what was done to stamps and images."""
    from ivif_ros.sources.disturbed import CELSIUS_PER_COUNT, COUNTS_AT_ZERO, COUNTS_PER_LEVEL

    lines = []
    if what.skew_ms:
        lines.append(f'thermal stamps are {what.skew_ms:g} ms late')
    if what.jitter_ms:
        lines.append(f'stamps of both cameras jitter by {what.jitter_ms:g} ms (standard deviation)')
    if what.delay_ms or what.jitter_ms:
        lines.append(f'frames arrive {what.delay_ms + 2.5 * what.jitter_ms:g} ms after exposure')
    if what.misalign_px:
        lines.append(f'thermal images are displaced by {what.misalign_px:g} px on average, seed '
                     f'{what.seed}; what the camera did not see repeats the border')
    if what.thermal_encoding == 'mono16':
        lines.append(
            f'8-bit grey levels became counts: {COUNTS_AT_ZERO} + {COUNTS_PER_LEVEL} x level, '
            f'{CELSIUS_PER_COUNT:g} K each from absolute zero; these temperatures are made up')
    return lines


def print_truth(done: ImportSummary, importer: Importer) -> None:
    """Say what is known for sure, and on what that rests."""
    if done.truth is None:
        print('the truth about the alignment is not known; for registered data say --aligned')
        return
    print(f'truth: {done.truth}')
    if importer.simulator:
        return
    if importer.calibration is not None and importer.calibration.deformation is not None:
        print('it rests on the deformation of the calibration file')
    else:
        print('it rests on the pairs of the source lying on each other pixel by pixel')


def _blackout(text: str) -> Blackout:
    from ivif_ros.sources.disturbed import Blackout

    sensor, value = _of_camera(text, '--blackout')
    start, _, length = value.partition('+')
    example = '5+1.5 or rgb=3+0.04'
    return Blackout(sensor, _number(start, text, '--blackout', example),
                    _number(length, text, '--blackout', example))


def _of_camera(text: str, option: str) -> tuple[Sensor | None, str]:
    """Split `thermal=0.2`; no camera for a value alone."""
    name, found, value = text.partition('=')
    if not found:
        return None, text
    if name == 'rgb':
        return 'rgb', value
    if name == 'thermal':
        return 'thermal', value
    raise ParameterError(f"{option} names the camera '{name}', expected rgb or thermal")


def _number(value: str, text: str, option: str, example: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise ParameterError(f"{option} is '{text}', expected something like {example}") from error
    if not math.isfinite(number):
        raise ParameterError(f"{option} is '{text}', expected something like {example}")
    return number
