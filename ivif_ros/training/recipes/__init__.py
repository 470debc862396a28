# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recipes of fusion by name; the modules load on first use. Each of them has a `RECIPE`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from ivif_ros.errors import ParameterError

if TYPE_CHECKING:
    from ivif_ros.training.recipe_fusion import FusionRecipe

RECIPES: dict[str, str] = {
    name: f'ivif_ros.training.recipes.{name}' for name in (
        'learned_pyramid', 'densefuse', 'pmgi', 'fusiongan', 'ufgan', 'mff_gan', 'piafusion',
        'mini', 'restormer', 'tdfusion')}
"""Name -> module."""


def load_recipe(name: str) -> FusionRecipe:
    """Load the recipe of a method.

    Args:
        name: a key of RECIPES, or the path of a Python file (ends in '.py') that has a `RECIPE`.

    Raises:
        ParameterError: unknown name, with the nearest known one, or a file without a recipe.
    """
    if name.endswith('.py'):
        return _recipe_of_file(Path(name).expanduser())
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ''
        raise ParameterError(
            f"unknown method '{name}', expected one of {', '.join(sorted(RECIPES))}, or a "
            f'Python file with a RECIPE{hint}')
    recipe: FusionRecipe = importlib.import_module(RECIPES[name]).RECIPE
    return recipe


def _recipe_of_file(path: Path) -> FusionRecipe:
    from ivif_ros.training.recipe_fusion import FusionRecipe

    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise ParameterError(f"recipe file '{path}' does not exist")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    recipe = getattr(module, 'RECIPE', None)
    if not isinstance(recipe, FusionRecipe):
        raise ParameterError(f"recipe file '{path}' has no RECIPE of type FusionRecipe")
    return recipe
