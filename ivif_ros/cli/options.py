# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Options that several sub-commands share, and the parameters that come of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ivif_ros.fusion.registry import names
from ivif_ros.parameters import Parameters, from_dict
from ivif_ros.parameters.yaml_file import load_parameters, parse_setting

if TYPE_CHECKING:
    from ivif_ros.bags.outputs import Compression

OPTION_PARAMETERS = {'method': 'fusion.method', 'device': 'fusion.device',
                     'calibration': 'registration.calibration'}
"""Options that stand for a parameter, where a sub-command declares them."""


def add_parameter_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--params` and `--set`."""
    group = parser.add_argument_group('parameters')
    group.add_argument(
        '--params', metavar='FILE.yaml', help='ROS parameter file, such as config/fusion.yaml')
    group.add_argument(
        '--set', metavar='NAME=VALUE', action='append', default=[],
        help='one parameter, such as fusion.method=pyramid; goes before the file; may be repeated '
        '(docs/parameters.md lists them)')


def add_fusion_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--method` and `--device`."""
    parser.add_argument(
        '--method', metavar='M',
        help=f"fusion method: {', '.join(names())}; or a network in a file, onnx:FILE or "
        'torchscript:FILE (--set fusion.method=M)')
    parser.add_argument(
        '--device', metavar='D',
        help='auto, cpu, cuda or cuda:N; auto takes CUDA where it works (--set fusion.device=D)')


def add_compression_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--compress`, for `image_compression` and the `zstd` of a BagWriter."""
    # WebP is not offered: compressed_image_transport knows jpeg, png and tiff only, and 16-bit PNG
    # is the one form in which it takes raw thermal images.
    parser.add_argument(
        '--compress', choices=('none', 'zstd', 'png', 'jpeg'), default='none',
        help='jpeg or png: images on <topic>/compressed, 16-bit ones as PNG in any case; zstd: the '
        'file, without loss (default: %(default)s)')


def image_compression(choice: str) -> Compression:
    """How images are compressed for a value of `--compress`."""
    choices: dict[str, Compression] = {'png': 'png', 'jpeg': 'jpeg'}
    return choices.get(choice, 'none')


def parameters_from(args: argparse.Namespace, **overrides: Any) -> Parameters:
    """Put the parameters together: defaults, then the file, then `--set`, then the options.

    Args:
        args: parsed arguments with `params`, `set` and, where declared, `method`, `device`,
            `calibration`.
        overrides: full name with `__` for the dot -> value.

    Raises:
        ParameterError: unreadable file, unknown name or impossible value.
    """
    values: dict[str, Any] = load_parameters(args.params) if args.params else {}
    values.update(parse_setting(text) for text in args.set)
    for option, name in OPTION_PARAMETERS.items():
        value = getattr(args, option, None)
        if value is not None:
            values[name] = value
    values.update((name.replace('__', '.'), value) for name, value in overrides.items())
    return from_dict(Parameters, values)
