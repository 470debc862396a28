# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""TDFusion (Bai et al., CVPR 2025): the loss of a task teaches which fusion loss serves it.

Three networks learn: fusion F (parameters f), task T (t) and loss generator G (g).

Meta step, on a batch of the meta-train and one of the meta-test set, changes g only:

    f'(g) = f - eta_f dL_f(F(I_mtr), G(I_mtr)) / df        inner step, differentiable
    t'    = t - eta_t dL_t(F(I_mtr)) / dt                  inner step of the task
    g    <- Adam of dL_t(F(I_mts; f'(g)); t') / dg         outer step

g matters to the outer loss through f' alone: it goes along -eta_f (d2 L_f / df dg)^T dL_t / df',
that is, it learns the fusion loss whose gradient is a descent of the task loss on other images.

Fusion step, on a batch of all training data, changes f by L_f with the g of then, and t by L_t of
the fused image. F never sees the task loss itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ivif_ros.training.batch import Batch
from ivif_ros.training.labelled_batch import LabelledBatch, MetaBatch
from ivif_ros.training.loss_generator import LossGenerator, fusion_losses
from ivif_ros.training.losses.filters import exact, single
from ivif_ros.training.objective import Objective
from ivif_ros.training.tasks.base import TaskNetwork

GENERATOR, FUSION, TASK = range(3)
"""Groups of parameters."""
_TINY = 1e-6


class TDFusionObjective(Objective):
    """F, T and G, and what each of them minimises in a meta step and in a fusion step."""

    def __init__(self, network: nn.Module, task: TaskNetwork, generator: LossGenerator,
                 alpha: float = 1.0, fusion_rate: float = 0.02, task_rate: float = 1e-3) -> None:
        """Take the networks.

        Args:
            network: F; differentiable twice.
            task: T.
            generator: G.
            alpha: weight of the gradient term of L_f.
            fusion_rate: eta_f, step size of the inner step of F (plain gradient descent).
            task_rate: eta_t, that of T.
        """
        super().__init__(network)
        self.task = task
        self.generator = generator
        self._alpha = alpha
        self._fusion_rate, self._task_rate = fusion_rate, task_rate

    def groups(self) -> list[list[nn.Parameter]]:
        """List the parameters of G, F and T."""
        return [[p for p in part.parameters() if p.requires_grad]
                for part in (self.generator, self.network, self.task)]

    def losses(self, batch: MetaBatch, group: int) -> dict[str, Tensor]:
        """Compute what a group minimises, nothing for one that rests; see `Objective.losses`."""
        if batch.test is not None:
            if group != GENERATOR:
                return {}
            # Second derivatives lose too much in half precision.
            with exact(batch.test.colour):
                return {'task_ahead': self.outer_loss(batch.train, batch.test)}
        planes = batch.train.planes
        if group == FUSION:
            fused = single(self.network(planes.visible, planes.thermal))
            with torch.no_grad(), exact(fused):
                weight, _ = self.generator(planes.clean_thermal, planes.clean_visible)
            return fusion_losses(fused, planes, weight, self._alpha)
        if group == TASK:
            with torch.no_grad():
                fused = single(self.network(planes.visible, planes.thermal))
            return {'task': self.task(recolour(batch.train, fused), batch.train.targets)}
        return {}

    def outer_loss(self, train: LabelledBatch, test: LabelledBatch) -> Tensor:
        """Task loss on the meta-test batch after one inner step of F and T.

        Args:
            train: meta-train batch.
            test: meta-test batch.

        Returns:
            Scalar with a graph to the parameters of G; F and T stay as they are.
        """
        f = {name: p.detach().requires_grad_() for name, p in self.network.named_parameters()
             if p.requires_grad}
        planes = train.planes
        fused = self._fused(f, planes)
        weight, _ = self.generator(planes.clean_thermal, planes.clean_visible)
        loss = torch.stack([*fusion_losses(fused, planes, weight, self._alpha).values()]).sum()
        ahead = descend(f, loss, self._fusion_rate, differentiable=True)

        t = {name: p.detach().requires_grad_() for name, p in self.task.named_parameters()
             if p.requires_grad}
        learned = descend(t, self._judged(t, fused.detach(), train), self._task_rate)
        return self._judged(learned, self._fused(ahead, test.planes), test)

    def _fused(self, parameters: Mapping[str, Tensor], planes: Batch) -> Tensor:
        """Fuse with other parameters; buffers of F are not touched."""
        called: Tensor = functional_call(self.network, {**_buffers(self.network), **parameters},
                                         (planes.visible, planes.thermal))
        return single(called)

    def _judged(self, parameters: Mapping[str, Tensor], fused: Tensor,
                batch: LabelledBatch) -> Tensor:
        """Task loss with other parameters; buffers of T are not touched."""
        loss: Tensor = functional_call(self.task, {**_buffers(self.task), **parameters},
                                       (recolour(batch, fused), batch.targets))
        return loss


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the buffers: a batch normalisation would change those of the module."""
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def descend(parameters: Mapping[str, Tensor], loss: Tensor, rate: float,
            differentiable: bool = False) -> dict[str, Tensor]:
    """Take a step of gradient descent, p' = p - rate dL/dp.

    Args:
        parameters: name -> leaf that the loss depends on; one it does not depend on stays.
        loss: scalar.
        rate: step size.
        differentiable: keep the graph from the gradient to all else that the loss depends on.

    Returns:
        Name -> parameter after the step; without `differentiable`, without a graph.
    """
    slopes = torch.autograd.grad(loss, list(parameters.values()), create_graph=differentiable,
                                 allow_unused=True)
    return {name: p.detach() if slope is None else p.detach() - rate * slope
            for (name, p), slope in zip(parameters.items(), slopes, strict=True)}


def recolour(batch: LabelledBatch, fused: Tensor) -> Tensor:
    """Give the colour images a new luma, as `FusionEngine` does, differentiably.

    Args:
        batch: the colour images.
        fused: (n, 1, h, w) new luma; outside 0..1 it is clipped.

    Returns:
        (n, 3, h, w) RGB in 0..1.
    """
    luma = batch.planes.clean_visible
    goal = fused.clamp(0, 1)
    reach = batch.colour.amax(1, keepdim=True) - luma + _TINY
    fits = ((1 + _TINY - goal) / reach).clamp(max=1)
    scale = torch.minimum(fits, (goal + _TINY) / (luma + _TINY))
    return goal + scale * (batch.colour - luma)
