# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a fusion method that is a network to an ONNX or TorchScript file.

The file is compared with the network first. Beside it comes FILE.yaml, which says what the network
takes and gives, so that fusion.method onnx:FILE or torchscript:FILE uses it at once.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.fusion.weights import shipped_names
from ivif_ros.types import Size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        '--method', required=True, metavar='M',
        help=f"fusion method that is a network: {', '.join(shipped_names()) or 'none has weights'}")
    parser.add_argument('--out', required=True, type=Path, metavar='FILE',
                        help='.onnx, or .pt for TorchScript')
    parser.add_argument('--size', type=_size, metavar='WxH',
                        help='take images of this size only; left out: any size')
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='weights in place of those of the package')


def run(args: argparse.Namespace) -> int:
    """Export the method and print how equal the file is."""
    from ivif_ros.fusion.export import TOLERANCE, export_method
    difference = export_method(args.method, args.out, args.size, args.weights)
    sizes = 'any size' if args.size is None else f'{args.size[0]}x{args.size[1]} only'
    print(f'{args.out}: {args.method}, {sizes}; largest difference from the network '
          f'{difference:.1e} (allowed {TOLERANCE:.0e})')
    return ExitCode.DONE


def _size(text: str) -> Size:
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size, expected such as 640x480")
    return int(match[1]), int(match[2])
