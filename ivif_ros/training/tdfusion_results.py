# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run of TDFusion leaves beside its fusion weights: the task network, and weight maps.

`python -m ivif_ros.training.tdfusion_results RUN --detector FILE --fusion FILE` writes the detector
that has learned with the fusion network, as a file for `detection.weights`, and that network, as
one for `fusion.weights`, both in their newest state (`last.pt`; `best.pt` is that of the lowest
task loss). With `--rgb`, `--thermal` and `--picture` it shows for a registered pair what the loss
generator asks for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ivif_ros.errors import IvifError, ParameterError, WeightsError
from ivif_ros.training.checkpoint import RunFolder, write_atomically
from ivif_ros.training.data.pairs import Pair, PairFiles, read_pair
from ivif_ros.training.detection_network import save_network
from ivif_ros.training.loss_generator import LossGenerator
from ivif_ros.training.recipes.tdfusion import RECIPE
from ivif_ros.training.tasks import build_task
from ivif_ros.training.tasks.base import TaskNetwork
from ivif_ros.types import Array


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after the name of the program; None for those of the process.

    Returns:
        0, or 2 for an error.
    """
    parser = argparse.ArgumentParser(
        prog='python -m ivif_ros.training.tdfusion_results',
        description='Write the detector and weight maps of a run of TDFusion.')
    add = parser.add_argument
    add('run', type=Path, help='folder of the run')
    add('--detector', type=Path, metavar='FILE.pt', help='write the detector')
    add('--fusion', type=Path, metavar='FILE.pt', help='write the fusion network')
    add('--picture', type=Path, metavar='FILE.png', help='write the weights of a pair: visible, '
        'thermal, weight of the thermal image (white is 1), image that the weights ask for')
    add('--rgb', type=Path, help='RGB image of the pair')
    add('--thermal', type=Path, help='thermal image of the pair, registered')
    options = parser.parse_args(arguments)
    try:
        if not (options.detector or options.fusion or options.picture):
            raise ParameterError('nothing is to be written: give --detector FILE.pt, --fusion '
                                 'FILE.pt, or --picture FILE.png with --rgb and --thermal')
        if options.picture and not (options.rgb and options.thermal):
            raise ParameterError('--picture needs a pair: give --rgb FILE and --thermal FILE')
        state = load_tdfusion(options.run)
        if options.detector:
            save_detector(options.detector, state)
            print(f"detector: '{options.detector}'")
        if options.fusion:
            save_fusion(options.fusion, state)
            print(f"fusion network: '{options.fusion}'")
        if options.picture:
            pair = read_pair(PairFiles('', '', options.rgb, options.thermal))
            write_picture(options.picture, weight_picture(restored_generator(state), pair))
            print(f"picture: '{options.picture}'")
    except IvifError as error:
        print(f'tdfusion_results: error: {error}', file=sys.stderr)
        return 2
    return 0


def load_tdfusion(run: Path) -> dict[str, Any]:
    """Read the newest state of a run.

    Raises:
        WeightsError: no state, or that of another kind of training.
    """
    state = RunFolder(run).newest()
    if not {'task', 'generator_config'} <= state['settings'].keys():
        raise WeightsError(f"folder '{run}' holds a run of '{state['method']}', expected one of "
                           'TDFusion')
    return state


def restored_task(state: Mapping[str, Any]) -> TaskNetwork:
    """Make the task network of a run as it has learned, in `eval` mode.

    Raises:
        IvifError: weights that it started from, or a package, are missing.
    """
    settings = state['settings']
    task = build_task(settings['task'], **settings['task_config'])
    _restore(task, state, 'task.')
    return task


def restored_generator(state: Mapping[str, Any]) -> LossGenerator:
    """Make the loss generator of a run as it has learned, in `eval` mode."""
    generator = LossGenerator(**state['settings']['generator_config'])
    _restore(generator, state, 'generator.')
    return generator


def _restore(module: nn.Module, state: Mapping[str, Any], prefix: str) -> None:
    try:
        module.load_state_dict({name.removeprefix(prefix): value for name, value in
                                state['objective'].items() if name.startswith(prefix)})
    except RuntimeError as error:
        raise WeightsError(f'the state of the run does not fit the {prefix[:-1]} of this version: '
                           f"{' '.join(str(error).split())[:200]}") from error
    module.eval()


def save_detector(path: Path, state: Mapping[str, Any]) -> None:
    """Write the detector of a run as a file for `detection.weights`.

    Raises:
        ParameterError: the task of the run is another one.
        OutputError: the file cannot be written.
    """
    settings = state['settings']
    if settings['task'] != 'detection':
        raise ParameterError(f"the task of the run is '{settings['task']}', expected 'detection'")
    judge = restored_task(state).get_submodule('judge')
    network = judge.get_submodule('network')
    save_network(path, network, {'method': state['method'], 'seed': state['seed'],
                                 'step': state['done']['step'], 'settings': settings})


def save_fusion(path: Path, state: Mapping[str, Any]) -> None:
    """Write the fusion network of a run as a file for `fusion.weights`.

    Raises:
        WeightsError: the state of another version.
        OutputError: the file cannot be written.
    """
    settings = state['settings']
    recipe = RECIPE.changed([f'network={settings["network"]}', *(
        f'config.{name}={value}' for name, value in settings['config'].items())])
    network = recipe.build()
    _restore(network, state, 'network.')
    recipe.save(path, network, {'method': state['method'], 'seed': state['seed'],
                                'step': state['done']['step'], 'settings': settings})


@torch.no_grad()
def weight_picture(generator: LossGenerator, pair: Pair) -> Array:
    """Show what a loss generator asks for.

    Args:
        generator: in `eval` mode.
        pair: registered images.

    Returns:
        (H, 4 W) uint8: visible, thermal, weight of the thermal image (white is 1), and the image of
        least intensity loss, w_a a + w_b b.
    """
    visible, thermal = (torch.from_numpy(np.ascontiguousarray(plane))[None, None] / 255
                        for plane in (pair.visible, pair.thermal))
    a, b = generator(thermal, visible)
    planes: list[Tensor] = [visible, thermal, a, a * thermal + b * visible]
    picture: Array = torch.cat(planes, 3)[0, 0].mul(255).round().to(torch.uint8).numpy()
    return picture


def write_picture(path: Path, image: Array) -> None:
    """Write an image as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    png = cv2.imencode('.png', image)[1].tobytes()
    write_atomically(path, lambda part: part.write_bytes(png))


if __name__ == '__main__':
    raise SystemExit(main())
