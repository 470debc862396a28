# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fuse pairs of images, each pair by itself.

The fused image has the grid of the RGB image. The thermal image is registered onto it, from the
calibration if there is one, else from the images alone. With --no-register the images must show the
same already; a thermal image of the same proportions is stretched to the size of the RGB image.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from ivif_ros.cli.console import table
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.files import make_folder
from ivif_ros.cli.options import add_fusion_options, add_parameter_options, parameters_from
from ivif_ros.cli.stills import add_pair_options, find_pairs, process_pairs, write_picture
from ivif_ros.image_file import STILL_SUFFIXES
from ivif_ros.pipeline import Pipeline
from ivif_ros.sources.folder import FilePair
from ivif_ros.types import FusionResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pair_options(parser)
    parser.add_argument(
        '--out', required=True, type=Path, metavar='PATH',
        help='with two folders: folder for <name>.png; with two files: image file, or a folder')
    add_fusion_options(parser)
    parser.add_argument('--no-register', action='store_true', help='the images are aligned already')
    parser.add_argument('--calibration', metavar='FILE', help='calibration of the rig (YAML)')
    add_parameter_options(parser)


def run(args: argparse.Namespace) -> int:
    """Fuse the pairs and print how long it took."""
    overrides = {'registration__mode': 'none'} if args.no_register else {}
    params = parameters_from(args, **overrides)
    pairs = find_pairs(args.rgb, args.thermal)
    to_file = not args.rgb.is_dir() and args.out.suffix.lower() in STILL_SUFFIXES
    pipeline = Pipeline(params)
    times: dict[str, list[float]] = {'whole pair': []}

    def write(pair: FilePair, result: FusionResult, milliseconds: float) -> None:
        path = args.out if to_file else args.out / f'{pair.stem}.png'
        write_picture(path, result.fused, pair)
        times['whole pair'].append(milliseconds)
        for stage, value in result.latency_ms.items():
            times.setdefault(stage, []).append(value)

    try:
        make_folder(args.out.parent if to_file else args.out)
        failed = process_pairs(pipeline, pairs, 'fuse', write)
    finally:
        pipeline.close()
    done = len(pairs) - failed
    if done:
        rows = [(stage, f'{statistics.median(values):.1f}', f'{max(values):.1f}')
                for stage, values in times.items()]
        table(f'{done} of {len(pairs)} pairs fused ({params.fusion.method}, {pipeline.device}): '
              f'{args.out}', ('stage', 'median ms', 'max ms'), rows)
    return ExitCode.of(done, failed)
