# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Adversarial training of a fusion network with least squares (Mao et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.training.batch import Batch
from ivif_ros.training.losses.adversarial import (
    least_squares_discriminator,
    least_squares_generator,
    soft_labels,
)
from ivif_ros.training.objective import Objective, Term

REAL = (0.7, 1.2)
"""Range of the labels of real images, and of what the generator wants to hear (FusionGAN)."""
FAKE = (0.0, 0.3)
"""Range of the labels of fused images."""


def block_pattern(network: nn.Module, like: Tensor) -> Tensor:
    """How far the four pixels of 2x2 blocks differ where both sources are even; a scalar.

    Networks that work on folded images make each of the four by weights of their own. Pictures say
    little about even surfaces of two different levels: without this term a checkerboard of some
    grey levels stays there.

    Args:
        network: the generator.
        like: tensor of the device and type of its input.
    """
    levels = torch.rand(2, 8, 1, 1, 1, device=like.device, dtype=like.dtype)
    visible, thermal = levels.expand(2, 8, 1, 32, 32)
    phases = functional.pixel_unshuffle(network(visible, thermal).float(), 2).mean((2, 3))
    return phases.var(1, unbiased=False).mean()


class AdversarialObjective(Objective):
    """Content terms of the fused image, and a discriminator that compares it with real images.

    Group 0 is the discriminator: L_D = mean (D(real) - b)^2 + mean (D(fused) - a)^2; the fused
    image is made without a graph. Group 1 is the generator: mean (D(fused) - c)^2 plus the content;
    the discriminator passes gradients on and gets none. a is drawn from `FAKE`, b and c from
    `REAL`.
    """

    def __init__(self, network: nn.Module, discriminator: nn.Module,
                 content: Mapping[str, tuple[float, Term]], real: Callable[[Batch], Tensor],
                 view: Callable[[Tensor], Tensor] | None = None, weight: float = 1.0,
                 even: float = 0.0) -> None:
        """Take the parts.

        Args:
            network: the generator.
            discriminator: images (n, c, h, w) -> judgements (n, 1).
            content: name -> (weight, term); terms that are modules become part of the objective.
            real: what the discriminator is to take for real, (n, c, h, w).
            view: what of the fused image (n, 1, h, w) the discriminator sees, (n, c, h, w); None:
                the image itself.
            weight: weight of the adversarial term of the generator.
            even: weight of `block_pattern` in the content; 0 leaves it out.
        """
        super().__init__(network)
        self.discriminator = discriminator
        self._content = dict(content)
        self._content_modules = nn.ModuleDict({
            name: term for name, (_, term) in content.items() if isinstance(term, nn.Module)})
        self._real = real
        self._view = view
        self._weight = weight
        self._even = even

    def groups(self) -> list[list[nn.Parameter]]:
        """List the parameters of the discriminator, then those of the generator."""
        return [list(self.discriminator.parameters()), *super().groups()]

    def losses(self, batch: Batch, group: int) -> dict[str, Tensor]:
        """Judge the batch as the discriminator (0) or the generator (1); see `Objective.losses`."""
        if group == 0:
            with torch.no_grad():
                seen = self._seen(self.network(batch.visible, batch.thermal).float())
                real = self._real(batch)
            on_real, on_fused = self.discriminator(real), self.discriminator(seen)
            return {'discriminator': least_squares_discriminator(
                on_real, on_fused, soft_labels(on_real, *REAL), soft_labels(on_fused, *FAKE))}
        fused = self.network(batch.visible, batch.thermal).float()
        # A graph that is built now leaves the discriminator's parameters out.
        self.discriminator.requires_grad_(False)
        judgement = self.discriminator(self._seen(fused))
        self.discriminator.requires_grad_(True)
        wanted = soft_labels(judgement, *REAL)
        found = {'adversarial': self._weight * least_squares_generator(judgement, wanted),
                 **{name: weight * term(fused, batch)
                    for name, (weight, term) in self._content.items()}}
        if self._even:
            found['even'] = self._even * block_pattern(self.network, batch.visible)
        return found

    def _seen(self, fused: Tensor) -> Tensor:
        return fused if self._view is None else self._view(fused)
