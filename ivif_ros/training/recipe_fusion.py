# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recipes of fusion networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ivif_ros.fusion import weights
from ivif_ros.fusion.networks import build
from ivif_ros.training.batch import Movable
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.loader import make_loader
from ivif_ros.training.objective import Objective
from ivif_ros.training.recipe import Recipe
from ivif_ros.training.validate import Validation
from ivif_ros.training.validate_fusion import FusionValidation
from ivif_ros.weights_file import save_weights


def balanced_score(metrics: Mapping[str, float]) -> float:
    """Weigh fidelity to both sources: VIF + Qabf + SSIM + SCD / 2, higher is better.

    EN, SD, SF and AG take no part: they rise with noise.
    """
    return metrics['VIF'] + metrics['Qabf'] + metrics['SSIM'] + metrics['SCD'] / 2


@dataclass(frozen=True, kw_only=True)
class FusionRecipe(Recipe):
    """All that makes the weights of a fusion method, apart from the data themselves.

    Attributes:
        network: name in `ivif_ros.fusion.networks.NETWORKS`.
        score: see `Recipe`.
        crop: side of the crops in pixels.
        data: what the batches are made of.
    """

    network: str
    score: Callable[[Mapping[str, float]], float] = balanced_score
    crop: int = 128
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        """Check ranges; see `Recipe`."""
        super().__post_init__()
        self._check_least('crop', 8)

    def build(self) -> nn.Module:
        """Make the network; see `Recipe.build`."""
        return build(self.network, **self.config)

    def batches(self, root: Path, seed: int, start_step: int, rank: int, world: int,
                workers: int) -> Iterator[Movable]:
        """Yield crops of pairs; see `Recipe.batches`."""
        return make_loader(self.data, root, 'train', self.batch_size // world, self.crop, seed,
                           start_step, rank, world, workers)

    def validation(self, root: Path, objective: Objective) -> Validation:
        """Read pairs of the validation split; see `Recipe.validation`."""
        return FusionValidation(root, self.data.datasets, self.validation_pairs)

    def save(self, path: Path, network: nn.Module, training: Mapping[str, Any]) -> None:
        """Write a file for `fusion.weights`; see `Recipe.save`."""
        save_weights(path, self.network, self.config, network, training)

    def start_from(self, network: nn.Module, path: Path) -> None:
        """Load a file of the same network; see `Recipe.start_from`."""
        weights.restore(network, self.network, path)

    def shipped_path(self) -> Path:
        """Path of the weights of the network in the package."""
        return weights.shipped_path(self.network)
