# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What training minimises: networks and the losses that judge them, as one module.

An objective is an `nn.Module`, so that all it holds (the network, discriminators, frozen feature
networks, buffers) goes to the device and into the checkpoint with it. Random numbers are to be
drawn from PyTorch's default generator, which the trainer seeds before each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ivif_ros.training.batch import Batch

Term = Callable[[Tensor, Batch], Tensor]
"""Loss of a fused image (n, 1, h, w) and the batch it was made of: a scalar."""
TemporalTerm = Callable[[Tensor, Tensor, Batch], Tensor]
"""Loss of the fused image, of the one a moment later (`batch.then`), and the batch: a scalar."""


class Objective(nn.Module):
    """Base of all objectives.

    Attributes:
        network: the network that is trained and shipped.
    """

    def __init__(self, network: nn.Module) -> None:
        """Keep the network."""
        super().__init__()
        self.network = network

    def groups(self) -> list[list[nn.Parameter]]:
        """List the parameters of each optimiser, in the order in which they step.

        A step goes through the groups: losses, backward, clip, step. An adversarial objective has
        the discriminators as group 0 and the network as group 1.
        """
        return [[p for p in self.network.parameters() if p.requires_grad]]

    def losses(self, batch: Any, group: int) -> dict[str, Tensor]:
        """Compute what a group minimises.

        Args:
            batch: what `Recipe.batches` yields, on the device of the objective.
            group: index into `groups()`.

        Returns:
            Name -> weighted scalar; the sum is minimised. Names are unique over all groups.
            Nothing where the group rests in this step.
        """
        raise NotImplementedError


class FusionObjective(Objective):
    """Weighted sum of loss terms of the fused image."""

    def __init__(self, network: nn.Module, terms: Mapping[str, tuple[float, Term]],
                 temporal: Mapping[str, tuple[float, TemporalTerm]] | None = None) -> None:
        """Take the terms; those that are modules become part of the objective.

        Args:
            network: network to train.
            terms: name -> (weight, term).
            temporal: name -> (weight, term) of losses over two moments; they count for batches
                that have a `then`.

        Raises:
            ValueError: no terms, or a name that is used twice.
        """
        super().__init__(network)
        self._terms = dict(terms)
        self._temporal = dict(temporal or {})
        both = self._terms.keys() & self._temporal.keys()
        if both or not self._terms:
            raise ValueError(f'loss terms named twice: {sorted(both)}' if both
                             else 'an objective needs at least one loss term')
        for name, (_, term) in (*self._terms.items(), *self._temporal.items()):
            if isinstance(term, nn.Module):
                self.add_module(f'term_{name}', term)

    def losses(self, batch: Batch, group: int) -> dict[str, Tensor]:
        """Fuse the batch and weigh each term; see `Objective.losses`."""
        fused = self.network(batch.visible, batch.thermal).float()
        found = {name: weight * term(fused, batch) for name, (weight, term) in self._terms.items()}
        if self._temporal and batch.then is not None:
            later = self.network(batch.then.visible, batch.then.thermal).float()
            found.update({name: weight * term(fused, later, batch)
                          for name, (weight, term) in self._temporal.items()})
        return found
