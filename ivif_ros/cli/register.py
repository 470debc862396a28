# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lay thermal images on RGB images, each pair by itself.

Per pair two files are written: <name>.png, the thermal image on the grid of the RGB image (8 bit),
and <name>.npz with `map`, float32 (H, W, 2): x and y of the thermal pixel for each RGB pixel (whole
numbers are centres of pixels; outside the thermal image the map goes on beyond its border),
`confidence`, float32, from 0 (no trust) to 1, and `confidence_map`, float32 (H, W), the same for
each RGB pixel. With --pictures also <name>_overlay.jpg: squares and edges of both images, with the
thermal image stretched onto the RGB image (before) and registered (after).
"""

from __future__ import annotations

import argparse
import io
import math
import statistics
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.cli.console import table
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.files import make_folder, write_file
from ivif_ros.cli.options import add_parameter_options, parameters_from
from ivif_ros.cli.stills import add_pair_options, find_pairs, process_pairs, write_picture
from ivif_ros.parameters import Parameters
from ivif_ros.pipeline import Pipeline
from ivif_ros.registration import dense_confidence, dense_map
from ivif_ros.registration.pictures import composite, summary
from ivif_ros.sources.folder import FilePair
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.types import Array, DeformationSource, FusionResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pair_options(parser)
    parser.add_argument('--out', required=True, type=Path, metavar='DIR',
                        help='folder for the files')
    parser.add_argument('--calibration', metavar='FILE', help='calibration of the rig (YAML)')
    parser.add_argument('--pictures', action='store_true',
                        help='also write <name>_overlay.jpg, to check the registration by eye')
    parser.add_argument('--device', metavar='D', help='auto, cpu, cuda or cuda:N')
    add_parameter_options(parser)


def run(args: argparse.Namespace) -> int:
    """Register the pairs and print a table of them."""
    params = parameters_from(args)
    pairs = find_pairs(args.rgb, args.thermal)
    pipeline = Pipeline(params)
    rows: list[tuple[str, ...]] = []
    times: list[float] = []
    problems: list[str] = []

    def write(pair: FilePair, result: FusionResult, milliseconds: float) -> None:
        deformation, registered = result.deformation, result.thermal_registered
        assert deformation is not None, 'both images are there'
        assert registered is not None, 'both images are there'
        write_picture(args.out / f'{pair.stem}.png', registered, pair)
        file = io.BytesIO()
        np.savez(file, map=dense_map(deformation), confidence=np.float32(deformation.confidence),
                 confidence_map=dense_confidence(deformation))
        write_file(args.out / f'{pair.stem}.npz', file.getbuffer())
        if args.pictures:
            write_picture(args.out / f'{pair.stem}_overlay.jpg', overlay(result, params), pair)
        times.append(milliseconds)
        if pipeline.registration_problem:
            problems.append(f'{pair.stem}: not estimated: {pipeline.registration_problem}')
        rows.append((pair.stem, deformation.source.name.lower(), f'{deformation.confidence:.2f}',
                     _px(deformation.residual_px), f'{milliseconds:.0f}'))

    try:
        make_folder(args.out)
        failed = process_pairs(pipeline, pairs, 'register', write)
    finally:
        pipeline.close()
    if rows:
        estimated = sum(row[1] == DeformationSource.ESTIMATED.name.lower() for row in rows)
        table(f'{len(rows)} of {len(pairs)} pairs written, {estimated} of them with a deformation '
              f'estimated from the images, median {statistics.median(times):.0f} ms: {args.out}',
              ('pair', 'from', 'confidence', 'expected error px', 'ms'), rows)
        for problem in problems:
            print(problem)
    return ExitCode.of(len(rows), failed)


def overlay(result: FusionResult, params: Parameters) -> Array:
    """Squares and edges of both images: thermal image stretched, and as registered.

    Args:
        result: result of a pair of both images.
        params: parameters that it was made with.
    """
    rgb, thermal = result.pair.rgb, result.pair.thermal
    assert rgb is not None, 'both images are there'
    assert thermal is not None, 'both images are there'
    assert result.deformation is not None, 'both images are there'
    assert result.thermal_registered is not None, 'both images are there'
    grey = ThermalNormaliser(params.thermal).apply(thermal.image, thermal.stamp_ns)
    stretched = np.asarray(cv2.resize(grey, rgb.size, interpolation=cv2.INTER_LINEAR))
    return composite(rgb.image, stretched, result.thermal_registered,
                     line=summary(result.deformation), labels=('stretched', 'registered'))


def _px(value: float) -> str:
    return 'unknown' if math.isnan(value) else f'{value:.2f}'
