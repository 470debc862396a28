# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Command line that trains a fusion network: `python -m ivif_ros.training.fusion METHOD …`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ivif_ros.errors import ParameterError
from ivif_ros.training.command import SHORT, Command, Short
from ivif_ros.training.recipes import RECIPES, load_recipe

if TYPE_CHECKING:
    from ivif_ros.training.recipe_fusion import FusionRecipe

COMMAND = Command(
    'ivif_ros.training.fusion', 'Train a fusion network. --list shows the methods.',
    'ema=0.99, data.haze=0.2 or config.width=16',
    (*SHORT, Short('--crop', 'crop', int, 'side of the crops in pixels')))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see `Command.run`."""
    parser = COMMAND.parser()
    parser.add_argument('method', nargs='?', default='',
                        help='method, or a Python file with a RECIPE')
    parser.add_argument('--list', action='store_true', help='list the methods and end')
    return COMMAND.run(parser, arguments, _choose)


def _choose(options: argparse.Namespace) -> FusionRecipe | None:
    if options.list:
        for name, module in sorted(RECIPES.items()):
            words = (importlib.import_module(module).__doc__ or '').strip().partition('\n')[0]
            print(f'{name:16} {load_recipe(name).steps:7} steps  {words}')
        return None
    if not options.method:
        raise ParameterError(f"no method is given, expected one of {', '.join(sorted(RECIPES))}")
    return load_recipe(options.method)


if __name__ == '__main__':
    raise SystemExit(main())
