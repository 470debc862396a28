# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lay thermal images on RGB images, each pair by itself.

Per pair two files are written: <name>.png, the thermal image on the grid of the RGB image (8 bit),
and <name>.npz with `map`, float32 (H, W, 2): x and y of the thermal pixel for each RGB pixel (whole
numbers are centres of pixels; outside the thermal image the map goes on beyond its border), and
`confidence`, float32, from 0 (no trust) to 1.
"""

from __future__ import annotations

import argparse
import io
import statistics
from pathlib import Path

import numpy as np

from ivif_ros.cli.console import table
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.files import make_folder, write_file
from ivif_ros.cli.options import add_parameter_options, parameters_from
from ivif_ros.cli.stills import add_pair_options, find_pairs, process_pairs, write_picture
from ivif_ros.pipeline import Pipeline
from ivif_ros.registration import dense_map
from ivif_ros.sources.folder import FilePair
from ivif_ros.types import DeformationSource, FusionResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pair_options(parser)
    parser.add_argument('--out', required=True, type=Path, metavar='DIR',
                        help='folder for the files')
    parser.add_argument('--calibration', metavar='FILE', help='calibration of the rig (YAML)')
    parser.add_argument('--device', metavar='D', help='auto, cpu, cuda or cuda:N')
    add_parameter_options(parser)


def run(args: argparse.Namespace) -> int:
    """Register the pairs and print a table of them."""
    params = parameters_from(args)
    pairs = find_pairs(args.rgb, args.thermal)
    pipeline = Pipeline(params)
    rows: list[tuple[str, ...]] = []
    times: list[float] = []

    def write(pair: FilePair, result: FusionResult, milliseconds: float) -> None:
        deformation, registered = result.deformation, result.thermal_registered
        assert deformation is not None, 'both images are there'
        assert registered is not None, 'both images are there'
        write_picture(args.out / f'{pair.stem}.png', registered, pair)
        file = io.BytesIO()
        np.savez(file, map=dense_map(deformation), confidence=np.float32(deformation.confidence))
        write_file(args.out / f'{pair.stem}.npz', file.getbuffer())
        times.append(milliseconds)
        rows.append((pair.stem, deformation.source.name.lower(), f'{deformation.confidence:.2f}',
                     f'{deformation.residual_px:.2f}', f'{milliseconds:.0f}'))

    try:
        make_folder(args.out)
        failed = process_pairs(pipeline, pairs, 'register', write)
    finally:
        pipeline.close()
    if rows:
        estimated = sum(row[1] == DeformationSource.ESTIMATED.name.lower() for row in rows)
        table(f'{len(rows)} of {len(pairs)} pairs written, {estimated} of them with a deformation '
              f'estimated from the images, median {statistics.median(times):.0f} ms: {args.out}',
              ('pair', 'from', 'confidence', 'residual px', 'ms'), rows)
    return ExitCode.of(len(rows), failed)
