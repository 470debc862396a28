# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What learns: an objective with its optimisers, gradient scaler and moving average."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ivif_ros.errors import ParameterError, WeightsError
from ivif_ros.training.batch import Movable
from ivif_ros.training.distributed import Processes
from ivif_ros.training.recipe import Recipe

PRECISIONS = {'off': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}


class Learner:
    """State of a training run and how one step changes it.

    Attributes:
        objective: the objective, on the device, in training mode.
    """

    def __init__(self, recipe: Recipe, processes: Processes, seed: int, amp: str = 'off',
                 init: Path | None = None) -> None:
        """Make networks and optimisers.

        Args:
            recipe: what to train.
            processes: who trains; all of them get the same parameters.
            seed: seed of the fresh weights and of all steps.
            amp: 'off', 'bf16' or 'fp16', precision of the forward pass.
            init: weights file that the network starts from, or none.

        Raises:
            IvifError: a precision that the device does not have, or a weights file of another
                network.
        """
        device = processes.device
        if amp not in PRECISIONS:
            raise ParameterError(f"amp is '{amp}', expected one of {', '.join(PRECISIONS)}")
        if amp == 'fp16' and device.type != 'cuda':
            raise ParameterError(f"amp is 'fp16' on the device {device}, expected bf16 or off: "
                                 'half precision is for CUDA')
        self._recipe, self._processes, self._seed = recipe, processes, seed
        self._precision = PRECISIONS[amp]
        torch.manual_seed(seed)
        network = recipe.build()
        if init is not None:
            recipe.start_from(network, init)
        self.objective = recipe.objective(network).to(device).train()
        processes.spread(self.objective)
        self._groups = self.objective.groups()
        self._optimizers = [
            torch.optim.AdamW(group, recipe.learning_rate, recipe.betas,
                              weight_decay=recipe.weight_decay) for group in self._groups]
        self._scaler = torch.amp.GradScaler(device.type, enabled=amp == 'fp16')
        self._average = (copy.deepcopy(network).eval().requires_grad_(False)
                         if recipe.ema else None)
        self._updates = 0

    @property
    def best_network(self) -> nn.Module:
        """The network to validate and ship: the moving average where there is one."""
        return self.objective.network if self._average is None else self._average

    def step(self, batch: Movable, step: int) -> tuple[dict[str, Tensor], bool]:
        """Let each group of parameters step once.

        A group without losses rests in this step. One whose loss or gradient is not finite does not
        step, nor do those after it.

        Args:
            batch: what `Recipe.batches` yields, on any device.
            step: number of the step, from 0.

        Returns:
            Loss terms by name, and whether all groups stepped.
        """
        batch = batch.to(self._processes.device)
        self._processes.spread(self.objective, buffers_only=True)
        # Random numbers of a step do not depend on the steps before it, so that a resumed run goes
        # on with the same ones.
        seeds = np.random.SeedSequence((self._seed, step, self._processes.rank))
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        found: dict[str, Tensor] = {}
        fine = True
        for index, optimizer in enumerate(self._optimizers):
            fine = self._group_step(batch, index, optimizer, self._recipe.rate(step), found)
            if not fine:
                break
        self._scaler.update()
        if fine and self._average is not None:
            self._updates += 1
            self._follow(self._average)
        return found, fine

    def _group_step(self, batch: Movable, index: int, optimizer: torch.optim.Optimizer, rate: float,
                    found: dict[str, Tensor]) -> bool:
        group = self._groups[index]
        optimizer.zero_grad(set_to_none=True)
        device = self._processes.device.type
        precision = self._precision
        with torch.autocast(device, precision) if precision is not None else nullcontext():
            losses = self.objective.losses(batch, index)
        if not losses:
            return True
        total = torch.stack([loss.float().reshape(()) for loss in losses.values()]).sum()
        # What else the losses depend on learns in a group of its own, or not at all.
        self._scaler.scale(total).backward(inputs=group)
        found.update({name: loss.detach() for name, loss in losses.items()})
        mean = self._processes.average_gradients(group, total.detach())
        self._scaler.unscale_(optimizer)
        limit = self._recipe.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(group, limit)
        if not bool(torch.isfinite(mean + norm)):
            return False
        for settings in optimizer.param_groups:
            settings['lr'] = rate
        self._scaler.step(optimizer)
        return True

    @torch.no_grad()
    def _follow(self, average: nn.Module) -> None:
        """Move the average towards the network.

        In the first updates the decay is smaller, min(decay, (1 + n) / (10 + n)): the fresh
        weights would stay in the average for long.
        """
        n = self._updates
        decay = min(self._recipe.ema, (1 + n) / (10 + n))
        network = self.objective.network
        for mean, new in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(new, 1 - decay)
        for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
            kept.copy_(buffer)

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, apart from seed and recipe."""
        return {'objective': self.objective.state_dict(),
                'optimizers': [optimizer.state_dict() for optimizer in self._optimizers],
                'scaler': self._scaler.state_dict(), 'updates': self._updates,
                'average': None if self._average is None else self._average.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go back to a state.

        Raises:
            WeightsError: a state that does not fit.
        """
        try:
            self.objective.load_state_dict(state['objective'])
            for optimizer, saved in zip(self._optimizers, state['optimizers'], strict=True):
                optimizer.load_state_dict(saved)
            self._scaler.load_state_dict(state['scaler'])
            if self._average is not None:
                self._average.load_state_dict(state['average'])
        except (RuntimeError, ValueError) as error:
            reason = ' '.join(str(error).split())[:300]
            raise WeightsError('the saved state does not fit the networks of this version: '
                               f'{reason}. Start the run anew') from error
        self._updates = state['updates']
