# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights between those that a detector started from and those that it has learned.

`python -m ivif_ros.training.blend RUN --start FILE --data DIR [--ship]`. Few images teach a network
much about them and let it forget what they do not show. On the straight line between both sets of
weights lie better ones than at either end (Wortsman et al., "Robust fine-tuning of zero-shot
models", CVPR 2022); the pairs of the validation split choose the place.
"""

from __future__ import annotations

import argparse
import copy
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ivif_ros.errors import IvifError, ParameterError, WeightsError
from ivif_ros.training.checkpoint import RunFolder
from ivif_ros.training.detection_network import build_network, start_from
from ivif_ros.training.recipe_detection import DetectionRecipe
from ivif_ros.training.recipes.detector import RECIPE
from ivif_ros.training.validate_detection import SHOWN, DetectionValidation

SHARES = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0)
"""Shares of what was learned that are tried; 0 is the start, 1 the end of the training."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after the name of the program; None for those of the process.

    Returns:
        0, or 2 for an error.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog='python -m ivif_ros.training.blend',
        description='Blend the detector of a run with the weights that it started from.')
    add = parser.add_argument
    add('run', type=Path, help='folder of the run (--out of ivif_ros.training.detector)')
    add('--start', type=Path, required=True, help='weights that it started from (--init)')
    add('--data', type=Path, required=True, help='folder of the data, for the validation')
    add('--shares', type=_shares, default=SHARES, metavar='A,B,...',
        help='shares of what was learned to try, each 0 to 1')
    add('--out', type=Path, metavar='FILE.pt', help='weights file to write')
    add('--ship', action='store_true', help='write the weights of the package')
    options = parser.parse_args(words)
    try:
        if not (options.out or options.ship):
            raise ParameterError('nothing is to be written: give --out FILE.pt or --ship')
        state, recipe = load_run(options.run)
        command = shlex.join(['python', '-m', 'ivif_ros.training.blend', *words])
        network, found = best_blend(state, recipe, options.start, options.data, options.shares)
        path = options.out or recipe.shipped_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        recipe.save(path, network, {
            'method': state['method'], 'seed': state['seed'], 'step': state['done']['step'],
            'settings': state['settings'], 'command': command, **found})
    except IvifError as error:
        print(f'blend: error: {error}', file=sys.stderr)
        return 2
    print(f"share {found['share']} is best: '{path}', {path.stat().st_size / 1e6:.1f} MB")
    return 0


def load_run(run: Path) -> tuple[dict[str, Any], DetectionRecipe]:
    """Read the newest state of a run of the detector, and its recipe.

    Raises:
        WeightsError: no state, or that of another kind of training.
    """
    state = RunFolder(run).newest()
    if state['method'] != RECIPE.name:
        raise WeightsError(f"folder '{run}' holds a run of '{state['method']}', expected one of "
                           f"'{RECIPE.name}'")
    settings = state['settings']
    return state, RECIPE.changed([
        f'validation_pairs={settings["validation_pairs"]}',
        *(f'config.{name}={value}' for name, value in settings['config'].items()),
        f'data.datasets={",".join(settings["data"]["datasets"])}',
        *(f'data.{name}={settings["data"][name]}' for name in ('labels', 'fusion_weights'))])


def best_blend(state: Mapping[str, Any], recipe: DetectionRecipe, start: Path, data: Path,
               shares: Sequence[float]) -> tuple[nn.Module, dict[str, Any]]:
    """Validate blends of start and end of a run; prints a table.

    Args:
        state: as `load_run` gives it.
        recipe: as `load_run` gives it.
        start: weights that the run started from.
        data: folder of the data.
        shares: shares of what was learned to try.

    Returns:
        The blend of the highest score, in `eval` mode, its `share` and its `metrics`.

    Raises:
        IvifError: weights that do not fit each other, or no validation data.
    """
    first, last = (build_network(**recipe.config).eval() for _ in range(2))
    start_from(first, start)
    try:
        last.load_state_dict(learned(state))
    except RuntimeError as error:
        raise WeightsError('the state of the run does not fit the detector of this version: '
                           f"{' '.join(str(error).split())[:200]}") from error
    settings = recipe.data
    validation = DetectionValidation(
        data, settings.datasets, Path(settings.labels) if settings.labels else None,
        recipe.validation_pairs, settings.fusion_weights)
    table = Table('share', 'score', *(f'{name} AP50' for name in SHOWN),
                  title=f'{len(validation)} pairs of the validation split')
    best: tuple[float, float, dict[str, float]] | None = None
    for share in shares:
        metrics = validation.judge(blend(first, last, share), torch.device('cpu')).metrics
        score = recipe.score(metrics)
        table.add_row(f'{share:g}', f'{score:.3f}',
                      *(f'{metrics[f"{name}/AP50"]:.3f}' for name in SHOWN))
        if best is None or score > best[0]:
            best = score, share, metrics
    Console().print(table)
    assert best is not None
    return blend(first, last, best[1]), {'share': best[1], 'metrics': best[2]}


def learned(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights at the end of a run: their moving average where there is one."""
    if state['average'] is not None:
        return dict(state['average'])
    return {name.removeprefix('network.'): value for name, value in state['objective'].items()
            if name.startswith('network.')}


def blend(start: nn.Module, end: nn.Module, share: float) -> nn.Module:
    """Make a network whose weights and statistics are (1 - share) start + share end."""
    made = copy.deepcopy(start)
    others = end.state_dict()
    made.load_state_dict({
        name: torch.lerp(value, others[name], share) if value.is_floating_point() else value
        for name, value in start.state_dict().items()})
    return made


def _shares(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(','))
    except ValueError:
        found = ()
    if not found or not all(0 <= share <= 1 for share in found):
        raise argparse.ArgumentTypeError(f"'{text}', expected numbers of 0 to 1, with commas")
    return found


if __name__ == '__main__':
    raise SystemExit(main())
