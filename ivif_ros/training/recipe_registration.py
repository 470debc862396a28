# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The recipe of the registration network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from ivif_ros.errors import ParameterError
from ivif_ros.registration import weights
from ivif_ros.registration.network import RegistrationNetwork
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.misaligned import MisalignedBatch, make_misaligned_loader
from ivif_ros.training.objective import Objective
from ivif_ros.training.recipe import Recipe
from ivif_ros.training.validate import Validation
from ivif_ros.training.validate_registration import RegistrationValidation


def closeness(metrics: Mapping[str, float]) -> float:
    """Minus the mean end-point error, where an error of more than 20 px counts as 20."""
    return -metrics['limited']


@dataclass(frozen=True, kw_only=True)
class RegistrationRecipe(Recipe):
    """All that makes the weights of the registration network, apart from the data themselves.

    Attributes:
        score: see `Recipe`.
        data: what the batches are made of.
    """

    SHIP_LIMIT_BYTES: ClassVar[int] = 4_000_000

    score: Callable[[Mapping[str, float]], float] = closeness
    data: DataConfig = field(default_factory=DataConfig)

    def build(self) -> RegistrationNetwork:
        """Make the network; see `Recipe.build`."""
        try:
            return RegistrationNetwork(**self.config)
        except (TypeError, ValueError) as error:
            raise ParameterError('the registration network does not take the configuration '
                                 f'{self.config}: {error}') from error

    def batches(self, root: Path, seed: int, start_step: int, rank: int, world: int,
                workers: int) -> Iterator[MisalignedBatch]:
        """Yield deformed pairs; see `Recipe.batches`."""
        return make_misaligned_loader(
            self.data, root, 'train', self.batch_size // world, seed, start_step, rank, world,
            workers)

    def validation(self, root: Path, objective: Objective) -> Validation:
        """Deform pairs of the validation split; see `Recipe.validation`."""
        return RegistrationValidation(root, self.data.datasets, self.validation_pairs)

    def save(self, path: Path, network: nn.Module, training: Mapping[str, Any]) -> None:
        """Write a file for `ivif_ros.registration.weights`; see `Recipe.save`."""
        assert isinstance(network, RegistrationNetwork)
        weights.save_network(path, network, training)

    def start_from(self, network: nn.Module, path: Path) -> None:
        """Load a file of a registration network; see `Recipe.start_from`."""
        weights.restore(network, path)

    def shipped_path(self) -> Path:
        """Path of the weights of the registration network in the package."""
        return weights.PATH
