# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of image files: find them, run the pipeline on each, write what comes out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.cli.console import progress, warn
from ivif_ros.cli.files import write_file
from ivif_ros.errors import ImageError, IvifError, OutputError, SourceError
from ivif_ros.image_file import STILL_SUFFIXES
from ivif_ros.pipeline import Pipeline
from ivif_ros.sources.folder import FRAME_IDS, FilePair
from ivif_ros.sources.images import read_image
from ivif_ros.types import Array, Frame, FusionResult, same_aspect

NAMED_AT_MOST = 5
"""Unmatched files that a warning names."""


def add_pair_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--rgb` and `--thermal`."""
    parser.add_argument('--rgb', required=True, type=Path, metavar='PATH',
                        help='colour image, or a folder of them')
    parser.add_argument('--thermal', required=True, type=Path, metavar='PATH',
                        help='thermal image (8 or 16 bit, float TIFF), or a folder of them; a pair '
                        'has the same name before the suffix')


def find_pairs(rgb: Path, thermal: Path) -> list[FilePair]:
    """List the pairs of two files or of two folders; warns of files without partner.

    Raises:
        SourceError: one is missing, one is a file and the other a folder, two files of a folder
            differ in their suffix only, or no names match.
    """
    for path in (rgb, thermal):
        if not path.exists():
            raise SourceError(f"'{path}' is not there")
    if rgb.is_dir() != thermal.is_dir():
        folder, file = (rgb, thermal) if rgb.is_dir() else (thermal, rgb)
        raise SourceError(f"'{folder}' is a folder and '{file}' is a file, expected two of a kind")
    if not rgb.is_dir():
        return [FilePair(rgb.stem, rgb, thermal)]
    files = {path: _stems(path) for path in (rgb, thermal)}
    stems = sorted(files[rgb].keys() & files[thermal].keys())
    if not stems:
        raise SourceError(
            f"no image of '{rgb}' ({len(files[rgb])} images) has the name of one of '{thermal}' "
            f'({len(files[thermal])} images); a pair has the same name before the suffix')
    for path, found in files.items():
        alone = sorted(found[stem].name for stem in found.keys() - set(stems))
        if alone:
            more = len(alone) - NAMED_AT_MOST
            warn(f"{len(alone)} of the images in '{path}' have no partner and are left out: "
                 + ', '.join(alone[:NAMED_AT_MOST]) + (f' and {more} more' if more > 0 else ''))
    return [FilePair(stem, files[rgb][stem], files[thermal][stem]) for stem in stems]


def _stems(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in STILL_SUFFIXES or not file.is_file():
            continue
        if file.stem in found:
            raise SourceError(f"'{found[file.stem]}' and '{file.name}' have the same name before "
                              'the suffix; keep one of them')
        found[file.stem] = file
    return found


def process_pairs(pipeline: Pipeline, pairs: Sequence[FilePair], label: str,
                  handle: Callable[[FilePair, FusionResult, float], None]) -> int:
    """Run the pipeline on each pair by itself; pairs that cannot be used are warned of.

    Args:
        pipeline: what to run.
        pairs: files.
        label: what the progress bar says.
        handle: called with the files, the result and the milliseconds that it took without reading.

    Returns:
        Number of pairs that could not be used.

    Raises:
        OutputError: raised by `handle`; ends everything.
    """
    failed = 0
    for pair in progress(pairs, label):
        try:
            rgb = Frame(0, FRAME_IDS['rgb'], read_image(pair.rgb, 'rgb'))
            thermal = Frame(0, FRAME_IDS['thermal'], read_image(pair.thermal, 'thermal'))
            if pipeline.params.registration.mode == 'none':
                check_proportions(rgb, thermal)
            start = time.perf_counter()
            result = pipeline.process_still(rgb, thermal)
            milliseconds = (time.perf_counter() - start) * 1e3
        except OutputError:
            raise
        except IvifError as error:
            failed += 1
            warn(f'{pair.stem}: {error}')
            continue
        handle(pair, result, milliseconds)
    return failed


def check_proportions(rgb: Frame, thermal: Frame) -> None:
    """Refuse to stretch an image into other proportions.

    Raises:
        ImageError: the ratios of width and height differ by more than one percent.
    """
    if not same_aspect(rgb.size, thermal.size):
        (width, height), (other_width, other_height) = rgb.size, thermal.size
        raise ImageError(
            f'without registration both images must show the same, but the RGB image is '
            f'{width}x{height} and the thermal image {other_width}x{other_height}: let them be '
            'registered', 'bad_proportions')


def write_picture(path: Path, image: Array, inputs: FilePair | None = None) -> None:
    """Write an image in the format that its suffix names.

    Args:
        path: file to write.
        image: (H, W, 3) or (H, W) uint8.
        inputs: files that must not be overwritten; None where it was made of a whole recording.

    Raises:
        OutputError: it is one of the inputs, the suffix is unknown, or it cannot be written.
    """
    if inputs is not None and path.exists() and any(
            path.samefile(file) for file in (inputs.rgb, inputs.thermal)):
        raise OutputError(f"output '{path}' would overwrite an input, choose another --out")
    try:
        encoded, data = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise OutputError(f"output '{path}' has a suffix that no image format has") from error
    if not encoded:
        raise OutputError(f"output '{path}' cannot be encoded as {path.suffix}")
    write_file(path, np.asarray(data).data)
