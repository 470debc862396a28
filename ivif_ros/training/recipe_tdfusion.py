# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The recipe of TDFusion, for any fusion network and any task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ivif_ros.errors import ParameterError
from ivif_ros.training.data.meta import Epoch, labelled_sources, make_meta_loader
from ivif_ros.training.labelled_batch import MetaBatch
from ivif_ros.training.loss_generator import LossGenerator
from ivif_ros.training.objective import Objective
from ivif_ros.training.recipe_fusion import FusionRecipe
from ivif_ros.training.tasks import build_task
from ivif_ros.training.tdfusion import TDFusionObjective
from ivif_ros.training.validate import Validation
from ivif_ros.training.validate_fusion import FusionValidation
from ivif_ros.training.validate_tdfusion import TDFusionValidation, least_task_loss


@dataclass(frozen=True, kw_only=True)
class TDFusionRecipe(FusionRecipe):
    """All that makes the weights of a fusion network by TDFusion, apart from the data themselves.

    `steps` counts meta steps and fusion steps together.

    Attributes:
        objective: see `Recipe`; made of the settings.
        score: see `Recipe`.
        task: name in `ivif_ros.training.tasks.TASKS`.
        task_config: keyword arguments of the task.
        generator_config: keyword arguments of `LossGenerator`.
        epoch: number of meta steps and of fusion steps of an epoch. Without meta steps both
            weights of the loss stay 1/2.
        labels: folder of labels `LABELS/<data set>/<stem>.txt` for pairs that have none beside
            them; empty for none.
        alpha: weight of the gradient term of the fusion loss.
        inner_fusion_rate: step size of the inner step of the fusion network.
        inner_task_rate: step size of the inner step of the task.
    """

    objective: Callable[[nn.Module], Objective] = field(init=False, repr=False, compare=False)
    score: Callable[[Mapping[str, float]], float] = least_task_loss
    task: str = 'detection'
    task_config: dict[str, Any] = field(default_factory=dict)
    generator_config: dict[str, Any] = field(default_factory=dict)
    epoch: Epoch = field(default_factory=Epoch)
    labels: str = ''
    alpha: float = 1.0
    inner_fusion_rate: float = 0.02
    inner_task_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Check ranges; see `Recipe`."""
        super().__post_init__()
        for name in ('alpha', 'inner_fusion_rate', 'inner_task_rate'):
            self._check_least(name, 0)
        if self.data.share or self.data.temporal:
            name = 'share' if self.data.share else 'temporal'
            raise ParameterError(
                f'data.{name} is {getattr(self.data, name)}, expected none: TDFusion goes through '
                'all labelled stills; choose among them with data.datasets and data.simulated')
        object.__setattr__(self, 'objective', self._objective)

    def _objective(self, network: nn.Module) -> TDFusionObjective:
        """Make task, loss generator and what they minimise.

        Raises:
            IvifError: a task, crop or generator that cannot be made.
        """
        task = build_task(self.task, **self.task_config)
        if self.crop % task.MULTIPLE:
            raise ParameterError(f"crop is {self.crop}, expected a multiple of {task.MULTIPLE} for "
                                 f"the task '{self.task}'")
        if task.NEEDS_CLASS_MAP and self.data.simulated < 1:
            raise ParameterError(
                f"the task '{self.task}' needs the class of each pixel, which simulated pairs have "
                f'alone: data.simulated is {self.data.simulated}, expected 1')
        try:
            generator = LossGenerator(**self.generator_config)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ParameterError('the loss generator does not take the configuration '
                                 f'{self.generator_config}: {error}') from error
        return TDFusionObjective(network, task, generator, self.alpha, self.inner_fusion_rate,
                                 self.inner_task_rate)

    def batches(self, root: Path, seed: int, start_step: int, rank: int, world: int,
                workers: int) -> Iterator[MetaBatch]:
        """Yield crops of labelled pairs; see `Recipe.batches`."""
        return make_meta_loader(
            self.data, self.epoch, root, self._label_folder(), self.batch_size // world,
            self.crop, seed, start_step, rank, world, workers)

    def validation(self, root: Path, objective: Objective) -> Validation:
        """Read labelled pairs of the validation split; see `Recipe.validation`."""
        assert isinstance(objective, TDFusionObjective)
        sources = labelled_sources(self.data, root, 'validation', self._label_folder())
        fusion = FusionValidation(root, self.data.datasets, self.validation_pairs)
        return TDFusionValidation(fusion, sources, objective, self.validation_pairs)

    def _label_folder(self) -> Path | None:
        return Path(self.labels).expanduser() if self.labels else None
