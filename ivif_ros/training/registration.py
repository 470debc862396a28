# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Command line that trains the registration network: `python -m ivif_ros.training.registration`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ivif_ros.training.command import Command

if TYPE_CHECKING:
    from ivif_ros.training.recipe_registration import RegistrationRecipe

COMMAND = Command('ivif_ros.training.registration', 'Train the registration network.',
                  'ema=0.99 or config.wide=64')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see `Command.run`."""
    return COMMAND.run(COMMAND.parser(), arguments, _choose)


def _choose(options: argparse.Namespace) -> RegistrationRecipe:
    from ivif_ros.training.recipes.registration import RECIPE

    return RECIPE


if __name__ == '__main__':
    raise SystemExit(main())
