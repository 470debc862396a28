# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Command line that trains a fusion network: `python -m ivif_ros.training.fusion METHOD …`."""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ivif_ros.errors import IvifError, OutputError, ParameterError
from ivif_ros.training.recipes import RECIPES, load_recipe

if TYPE_CHECKING:
    from ivif_ros.training.recipe import Recipe

MODULE = 'ivif_ros.training.fusion'
SHIP_LIMIT_BYTES = 8_000_000
"""Weights larger than this do not go into the package."""
# How a run is continued or cut short does not belong to what made the weights.
_NOT_KEPT = {'--resume': 0, '--minutes': 1, '--ship': 0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 when training is done or its time is over, 2 for an error, 130 after a signal.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    try:
        if options.list:
            return _list()
        return _train(options, words)
    except IvifError as error:
        _complain(f'error: {error}')
        return 2
    except KeyboardInterrupt:
        _complain('interrupted; what came after the newest saved state is lost')
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f'python -m {MODULE}', description='Train a fusion network. --list shows the methods.')
    add = parser.add_argument
    add('method', nargs='?', default='', help='method, or a Python file with a RECIPE')
    add('--list', action='store_true', help='list the methods and end')
    add('--data', type=Path, help='folder of data sets, each with rgb/ and thermal/')
    add('--out', type=Path, help='folder of the run')
    add('--resume', action='store_true', help='go on with the run in --out')
    add('--ship', action='store_true',
        help='put the best weights into the package when training is done')
    add('--init', type=Path, metavar='FILE', help='weights file to start from')
    add('--minutes', type=float, default=0.0, help='save and stop after this time')
    settings = parser.add_argument_group('settings in place of those of the recipe')
    add = settings.add_argument
    add('--steps', type=int, help='number of steps')
    add('--batch-size', type=int, help='pairs a step, over all processes')
    add('--crop', type=int, help='side of the crops in pixels')
    add('--lr', type=float, help='peak of the learning rate')
    add('--set', action='append', default=[], metavar='NAME=VALUE', dest='settings',
        help='any setting, for example ema=0.99, data.haze=0.2 or config.width=16')
    machine = parser.add_argument_group('machine')
    add = machine.add_argument
    add('--seed', type=int, default=0, help='seed of everything random')
    add('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    add('--amp', default='off', choices=('off', 'bf16', 'fp16'),
        help='precision of the forward pass in training')
    add('--threads', type=int, default=0, help='CPU threads; 0: what the libraries choose')
    add('--workers', type=int, default=0, help='processes that make batches; 0: in this one')
    add('--log-every', type=int, default=20, help='steps between two rows of the log')
    return parser


def _list() -> int:
    for name, module in sorted(RECIPES.items()):
        words = (importlib.import_module(module).__doc__ or '').strip().partition('\n')[0]
        print(f'{name:16} {load_recipe(name).steps:7} steps  {words}')
    return 0


def _train(options: argparse.Namespace, words: list[str]) -> int:
    if not options.method:
        raise ParameterError(f"no method is given, expected one of {', '.join(sorted(RECIPES))}")
    for name in ('data', 'out'):
        if getattr(options, name) is None:
            raise ParameterError(f'--{name} DIR is missing, expected {_HELP[name]}')
    recipe = load_recipe(options.method).changed([*_short_settings(options), *options.settings])

    import cv2
    import torch

    from ivif_ros.training.trainer import RunOptions, train

    if options.threads < 0:
        raise ParameterError(f'--threads is {options.threads}, expected 0 or more')
    if options.threads:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
    done = train(recipe, RunOptions(
        options.data, options.out, options.seed, options.device, options.amp, options.workers,
        options.resume, options.init, options.minutes, options.log_every,
        _command(_kept(words))))
    if not _is_first():
        return 130 if done.signal else 0
    best = (f'best score {done.best_score:.4f} at step {done.best_step}' if done.best_step
            else 'no validation yet')
    skipped = f'; {done.skipped} steps were skipped' if done.skipped else ''
    print(f"{recipe.name}: {done.step} of {recipe.steps} steps, {best}{skipped}, in "
          f"'{options.out}'")
    if done.step < recipe.steps:
        again = words if options.resume else [*words, '--resume']
        print(f'go on with: {_command(again)}')
    if done.signal:
        return 130
    if options.ship:
        print(f"weights: '{ship(recipe, options.out)}'")
    return 0


_HELP = {'data': 'the folder of the training data (see docs/training.md)',
         'out': 'a folder for the run, for example runs/NAME'}


def _short_settings(options: argparse.Namespace) -> list[str]:
    names = {'steps': 'steps', 'batch_size': 'batch_size', 'crop': 'crop', 'lr': 'learning_rate'}
    return [f'{name}={getattr(options, short)}' for short, name in names.items()
            if getattr(options, short) is not None]


def _command(words: Sequence[str]) -> str:
    """Command line that calls this module as it was called, in as many processes."""
    world = os.environ.get('WORLD_SIZE', '1')
    program = 'python' if world == '1' else f'torchrun --nproc-per-node {world}'
    return f'{program} -m {MODULE} {shlex.join(words)}'


def _kept(words: Sequence[str]) -> list[str]:
    """Drop the arguments that do not change what is learned."""
    kept = []
    skip = 0
    for word in words:
        name, given, _ = word.partition('=')
        if skip:
            skip -= 1
        elif name in _NOT_KEPT:
            skip = 0 if given else _NOT_KEPT[name]
        else:
            kept.append(word)
    return kept


def ship(recipe: Recipe, folder: Path) -> Path:
    """Put the best weights of a run into the package.

    Args:
        recipe: recipe of the run.
        folder: folder of the run.

    Returns:
        The weights file in the package, named after the network.

    Raises:
        OutputError: no weights, too large ones, or a package that cannot be written.
    """
    from ivif_ros.fusion.weights import read_weights, shipped_path
    from ivif_ros.training.checkpoint import RunFolder, write_atomically

    best = RunFolder(folder).best
    if not best.is_file():
        raise OutputError(f"run '{folder}' has no best weights: no validation gave a score")
    content = best.read_bytes()
    if len(content) > SHIP_LIMIT_BYTES:
        raise OutputError(
            f"weights '{best}' have {len(content) / 1e6:.1f} MB, and the package takes at most "
            f'{SHIP_LIMIT_BYTES / 1e6:.0f} MB; use them with fusion.weights')
    read_weights(best)
    path = shipped_path(recipe.network)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: part.write_bytes(content))
    return path


def _is_first() -> bool:
    return os.environ.get('RANK', '0') == '0'


def _complain(text: str) -> None:
    who = '' if _is_first() else f" (process {os.environ['RANK']})"
    print(f'training{who}: {text}', file=sys.stderr)


if __name__ == '__main__':
    raise SystemExit(main())
