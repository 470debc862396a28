# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find how the two cameras of a rig stand to each other, from what they see.

Nothing needs to be known: pairs that show different things are picked, each says where the thermal
image lies, and what most of them say is written as a calibration file. Let the rig drive or the
scene change: a standing camera says one thing again and again. When too few pairs agree, nothing is
written.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.cli.calibration_pairs import CalibrationPairs
from ivif_ros.cli.console import progress_bar, table, warn
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.options import add_parameter_options, parameters_from
from ivif_ros.cli.stills import write_picture
from ivif_ros.errors import CalibrationError, OutputError, ParameterError
from ivif_ros.parameters import Parameters
from ivif_ros.registration import (
    Calibration,
    calibrated_deformation,
    fitted_deformation,
    load_calibration,
    save_calibration,
)
from ivif_ros.registration.estimate import default_estimator
from ivif_ros.registration.frame_picker import NamedPair
from ivif_ros.registration.maps import map_planes
from ivif_ros.registration.pictures import composite
from ivif_ros.registration.rig_words import rig_view
from ivif_ros.registration.self_calibration import (
    LEAST_PAIRS,
    SelfCalibration,
    most_estimates,
    self_calibrate,
)
from ivif_ros.types import Array, Deformation

DEFAULT_PAIRS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'source', nargs='?', metavar='BAG|DIR', help='rosbag2 folder, .mcap, .db3 or ROS 1 .bag '
        'file; or a folder with rgb/ and thermal/; or sim')
    parser.add_argument('--rgb', type=Path, metavar='PATH', help='in place of BAG|DIR: colour '
                        'image, or a folder of them')
    parser.add_argument('--thermal', type=Path, metavar='PATH', help='thermal images of the same '
                        'names')
    parser.add_argument('--out', required=True, type=Path, metavar='FILE.yaml',
                        help='calibration file to write')
    parser.add_argument('--overlay', type=Path, metavar='FILE.jpg', help='picture to check the '
                        'result by eye: squares and edges of both images, before and after')
    parser.add_argument('--pairs', type=int, default=DEFAULT_PAIRS, metavar='N',
                        help=f'pairs to use at most (default {DEFAULT_PAIRS})')
    parser.add_argument('--calibration', metavar='FILE', help='first guess: cameras, extrinsics or '
                        'an earlier result (YAML); what it knows of the cameras is kept')
    parser.add_argument('--force', action='store_true', help='write what was found even if too few '
                        'pairs agree')
    parser.add_argument('--rgb-topic', metavar='T', help='images of the colour camera; found by '
                        'type, name and encoding when left out')
    parser.add_argument('--thermal-topic', metavar='T', help='images of the thermal camera')
    parser.add_argument('--seconds', type=float, metavar='S',
                        help='stop reading after this time of the recording')
    add_parameter_options(parser)


def run(args: argparse.Namespace) -> int:
    """Calibrate, print what came of it, and write the files."""
    params = parameters_from(args)
    if args.pairs < LEAST_PAIRS:
        raise ParameterError(f'--pairs is {args.pairs}, expected at least {LEAST_PAIRS}')
    for path in (args.out, args.overlay):
        if path is not None and not path.absolute().parent.is_dir():
            raise OutputError(f"'{path}' cannot be written: '{path.parent}' is no folder")
    stored = load_calibration(params.registration.calibration) if (
        params.registration.calibration) else None
    reader = CalibrationPairs(params)
    pairs = reader.picked(args)
    initial = first_guess(stored, reader, pairs[0], params)
    with progress_bar('estimate', most_estimates(len(pairs))) as show:
        found = self_calibrate(pairs, default_estimator(), initial=initial, progress=show)
    print_result(found, reader.seen)
    if not found.settled:
        if not args.force or not found.agreeing:
            raise CalibrationError(f'not calibrated, nothing is written: {found.reason}')
        warn(f'written all the same (--force): {found.reason}')
    calibration = Calibration(deformation=found.deformation) if stored is None else Calibration(
        stored.rgb, stored.thermal, stored.thermal_from_rgb, found.deformation)
    save_calibration(args.out, calibration)
    print(f'written to {args.out}')
    if args.overlay is not None:
        write_picture(args.overlay, overlay(pairs, found, initial))
        print(f'look at {args.overlay}: lines must run on across the seams of the squares')
    return ExitCode.DONE


def first_guess(stored: Calibration | None, reader: CalibrationPairs, pair: NamedPair,
                params: Parameters) -> Deformation | None:
    """What calibration file and camera_info say about these images; None for nothing.

    Raises:
        CalibrationError: the file is one of other cameras.
    """
    if stored is not None and stored.deformation is not None:
        return fitted_deformation(stored.deformation, *pair.sizes)
    cameras = ((reader.rgb_camera, reader.thermal_camera)
               if params.registration.use_camera_info else (None, None))
    if stored is not None:
        calibration = stored.completed(*cameras)
        if not calibration.has_cameras:
            raise CalibrationError(
                f"calibration file '{params.registration.calibration}' has neither a deformation "
                'nor the intrinsics of both cameras: no first guess can be made of it')
    elif all(camera is not None for camera in cameras):
        calibration = Calibration(*cameras)
    else:
        return None
    return calibrated_deformation(
        calibration, *pair.sizes, params.registration.working_distance_m)


def print_result(found: SelfCalibration, seen: int) -> None:
    """Print a table of the pairs, and the rig in words."""
    rows = [(verdict.name, 'yes' if verdict.agrees else 'no', _pixels(verdict.distance_px),
             _pixels(verdict.expected_px), verdict.reason) for verdict in found.verdicts]
    table(f'{found.agreeing} of {len(rows)} pairs agree, picked from {seen}',
          ('pair', 'agrees', 'apart px', 'expected error px', 'why not'), rows)
    if not found.agreeing:
        return
    view = rig_view(found.deformation)
    print(view)
    print('corners of the thermal image in the RGB image, clockwise from the top left: '
          + ', '.join(f'({x:.0f}, {y:.0f})' for x, y in view.corners))
    diagonal = float(np.hypot(*found.deformation.rgb_size))
    print(f'expected error: {found.corner_error_px:.1f} px at the corners of the RGB image '
          f'({found.corner_error_px / diagonal:.2%} of its diagonal), '
          f'{found.deformation.residual_px:.1f} px in a single image, parallax included')


def overlay(pairs: list[NamedPair], found: SelfCalibration,
            initial: Deformation | None) -> Array:
    """Picture of the agreeing pair of median error: first guess and result.

    Args:
        pairs: as they were calibrated with.
        found: result with at least one pair that agrees.
        initial: first guess, or None for the stretched thermal image.
    """
    agreeing = sorted((verdict.distance_px, index) for index, verdict in enumerate(found.verdicts)
                      if verdict.agrees)
    pair = pairs[agreeing[(len(agreeing) - 1) // 2][1]]
    before = initial if initial is not None else Deformation.stretch(*pair.sizes)
    stretched, calibrated = (
        np.asarray(cv2.remap(pair.thermal, *map_planes(deformation), cv2.INTER_LINEAR))
        for deformation in (before, found.deformation))
    return composite(
        pair.rgb, stretched, calibrated, line=f'{pair.name}: {rig_view(found.deformation)}',
        labels=('stretched' if initial is None else 'first guess', 'calibrated'))


def _pixels(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.1f}'
