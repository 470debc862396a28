# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Command line that trains our detector: `python -m ivif_ros.training.detector`.

With --onnx FILE nothing is trained: the weights of --init, or those of the package, are written as
ONNX.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ivif_ros.training.command import SHORT, Command, Short

if TYPE_CHECKING:
    from ivif_ros.training.recipe_detection import DetectionRecipe

COMMAND = Command(
    'ivif_ros.training.detector', 'Train the detector of the package.',
    'data.labels=DIR, data.cutouts=FILE or data.degradations.haze=0.2',
    (*SHORT, Short('--crop', 'crop', int, 'side of the training images in pixels')))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see `Command.run`."""
    parser = COMMAND.parser()
    parser.add_argument('--onnx', type=Path, metavar='FILE',
                        help='write the weights of --init (else those of the package) as ONNX for '
                        '640x480, and end')
    return COMMAND.run(parser, arguments, _choose)


def _choose(options: argparse.Namespace) -> DetectionRecipe | None:
    from ivif_ros.training.recipes.detector import RECIPE

    if options.onnx is None:
        return RECIPE
    from ivif_ros.training.detection_network import export_onnx

    export_onnx(options.init or RECIPE.shipped_path(), options.onnx)
    print(f"ONNX: '{options.onnx}', {options.onnx.stat().st_size / 1e6:.1f} MB")
    return None


if __name__ == '__main__':
    raise SystemExit(main())
