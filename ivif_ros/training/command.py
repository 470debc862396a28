# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the command lines of training have in common: options, the run, and what is said of it."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ivif_ros.errors import IvifError, OutputError, ParameterError

if TYPE_CHECKING:
    from ivif_ros.training.recipe import Recipe

# How a run is continued or cut short does not belong to what made the weights.
_NOT_KEPT = {'--resume': 0, '--minutes': 1, '--ship': 0}
_FOLDERS = {'data': 'the folder of the training data (see docs/training.md)',
            'out': 'a folder for the run, for example runs/NAME'}


class Short(NamedTuple):
    """An option in place of a longer --set."""

    option: str
    setting: str
    kind: type
    help: str


SHORT = (Short('--steps', 'steps', int, 'number of steps'),
         Short('--batch-size', 'batch_size', int, 'pairs a step, over all processes'),
         Short('--lr', 'learning_rate', float, 'peak of the learning rate'))
"""Those that every training has."""


@dataclass(frozen=True)
class Command:
    """A command line that trains.

    Attributes:
        module: module that is called by `python -m`.
        description: what it does, for --help.
        example: a setting or several, for --help.
        short: options for frequent settings.
    """

    module: str
    description: str
    example: str
    short: tuple[Short, ...] = SHORT

    def parser(self) -> argparse.ArgumentParser:
        """Make the parser of all options; arguments of one command are added to it."""
        parser = argparse.ArgumentParser(
            prog=f'python -m {self.module}', description=self.description)
        add = parser.add_argument
        add('--data', type=Path, help='folder of data sets, each with rgb/ and thermal/')
        add('--out', type=Path, help='folder of the run')
        add('--resume', action='store_true', help='go on with the run in --out')
        add('--ship', action='store_true',
            help='put the best weights into the package when training is done')
        add('--init', type=Path, metavar='FILE', help='weights file to start from')
        add('--minutes', type=float, default=0.0, help='save and stop after this time')
        settings = parser.add_argument_group('settings in place of those of the recipe')
        add = settings.add_argument
        for short in self.short:
            add(short.option, type=short.kind, dest=short.setting, help=short.help)
        add('--set', action='append', default=[], metavar='NAME=VALUE', dest='settings',
            help=f'any setting, for example {self.example}')
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

    def run(self, parser: argparse.ArgumentParser, arguments: Sequence[str] | None,
            choose: Callable[[argparse.Namespace], Recipe | None]) -> int:
        """Run the command line.

        Args:
            parser: what `parser` made.
            arguments: words after the name of the program; None for those of the process.
            choose: gives the recipe for the options, or None where nothing is to be trained.

        Returns:
            0 when training is done or its time is over, 2 for an error, 130 after a signal.
        """
        words = list(sys.argv[1:] if arguments is None else arguments)
        options = parser.parse_args(words)
        try:
            recipe = choose(options)
            return 0 if recipe is None else self._train(recipe, options, words)
        except IvifError as error:
            _complain(f'error: {error}')
            return 2
        except KeyboardInterrupt:
            _complain('interrupted; what came after the newest saved state is lost')
            return 130

    def _train(self, recipe: Recipe, options: argparse.Namespace, words: list[str]) -> int:
        for name, what in _FOLDERS.items():
            if getattr(options, name) is None:
                raise ParameterError(f'--{name} DIR is missing, expected {what}')
        recipe = recipe.changed([*self._short_settings(options), *options.settings])

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
            self.line(_kept(words))))
        if not _is_first():
            return 130 if done.signal else 0
        best = (f'best score {done.best_score:.4f} at step {done.best_step}' if done.best_step
                else 'no validation yet')
        skipped = f'; {done.skipped} steps were skipped' if done.skipped else ''
        print(f"{recipe.name}: {done.step} of {recipe.steps} steps, {best}{skipped}, in "
              f"'{options.out}'")
        if done.step < recipe.steps:
            again = words if options.resume else [*words, '--resume']
            print(f'go on with: {self.line(again)}')
        if done.signal:
            return 130
        if options.ship:
            print(f"weights: '{ship(recipe, options.out)}'")
        return 0

    def _short_settings(self, options: argparse.Namespace) -> list[str]:
        return [f'{short.setting}={getattr(options, short.setting)}' for short in self.short
                if getattr(options, short.setting) is not None]

    def line(self, words: Sequence[str]) -> str:
        """Command line that calls the module with these words, in as many processes as now."""
        world = os.environ.get('WORLD_SIZE', '1')
        program = 'python' if world == '1' else f'torchrun --nproc-per-node {world}'
        return f'{program} -m {self.module} {shlex.join(words)}'


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
        The weights file in the package.

    Raises:
        OutputError: no weights, too large ones, or a package that cannot be written.
    """
    from ivif_ros.training.checkpoint import RunFolder, write_atomically

    best = RunFolder(folder).best
    if not best.is_file():
        raise OutputError(f"run '{folder}' has no best weights: no validation gave a score")
    content = best.read_bytes()
    if len(content) > recipe.SHIP_LIMIT_BYTES:
        raise OutputError(
            f"weights '{best}' have {len(content) / 1e6:.1f} MB, and the package takes at most "
            f'{recipe.SHIP_LIMIT_BYTES / 1e6:.0f} MB')
    # What cannot be loaded must not become part of the package.
    recipe.start_from(recipe.build(), best)
    path = recipe.shipped_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: part.write_bytes(content))
    return path


def _is_first() -> bool:
    return os.environ.get('RANK', '0') == '0'


def _complain(text: str) -> None:
    who = '' if _is_first() else f" (process {os.environ['RANK']})"
    print(f'training{who}: {text}', file=sys.stderr)
