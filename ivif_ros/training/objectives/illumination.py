# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Illumination awareness (PIAFusion, Tang et al. 2022): by day see, by night feel.

A small classifier says from the visible image how probable day and night are. The loss then pulls
the fused image to the visible image by day and to the thermal image by night.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.training.batch import Batch
from ivif_ros.training.losses.illumination import illumination_intensity, luma_day_probability
from ivif_ros.training.objective import Objective, Term


class IlluminationClassifier(nn.Module):
    """Four convolutions 4 x 4 of stride 2, global average, two linear layers, soft-max.

    Against the paper: luminance in place of colour, 8 to 32 channels in place of 16 to 128, and a
    soft-max in place of a rectifier, so that the probabilities cannot both vanish.
    """

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        widths = (1, 8, 16, 32, 32)
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 4, stride=2, padding=1)
                                    for before, after in pairwise(widths))
        self.hidden = nn.Linear(widths[-1], widths[-1])
        self.last = nn.Linear(widths[-1], 2)

    def logits(self, visible: Tensor) -> Tensor:
        """Scores of day and night, (n, 2), of images (n, 1, h, w) in 0..1, 16 pixels or more."""
        x = visible
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
        hidden = functional.leaky_relu(self.hidden(x.mean((2, 3))), 0.2)
        scores: Tensor = self.last(hidden)
        return scores

    def forward(self, visible: Tensor) -> Tensor:
        """Probabilities (P_d, P_n) of day and night, (n, 2), of images (n, 1, h, w) in 0..1."""
        return self.logits(visible).softmax(1)


class IlluminationObjective(Objective):
    """Illumination loss W_ir |F - I_ir|_1 + W_vi |F - I_vi|_1 plus other terms.

    The classifier is trained in the same run, as group 0, on the visible crops of each batch; the
    network, group 1, gets its answers without a gradient. The paper trains it beforehand, on images
    labelled as day or night by hand. Batches carry no such label; it comes from the mean luma
    (`losses.illumination.luma_day_probability`).

    Args:
        network: network to train.
        weight: of the illumination loss.
        terms: name -> (weight, term) of the other losses of the fused image; plain functions.
    """

    def __init__(self, network: nn.Module, weight: float,
                 terms: Mapping[str, tuple[float, Term]]) -> None:
        """Make the classifier."""
        super().__init__(network)
        self.classifier = IlluminationClassifier()
        self._weight = weight
        self._terms = dict(terms)

    def groups(self) -> list[list[nn.Parameter]]:
        """List the parameters of the classifier, then those of the network."""
        return [list(self.classifier.parameters()), *super().groups()]

    def losses(self, batch: Batch, group: int) -> dict[str, Tensor]:
        """Compute the losses of the classifier or of the network; see `Objective.losses`."""
        if group == 0:
            night = luma_day_probability(batch.clean_visible) < 0.5
            logits = self.classifier.logits(batch.clean_visible).float()
            return {'classifier': functional.cross_entropy(logits, night.long())}
        with torch.no_grad():
            day = self.classifier(batch.clean_visible).float()[:, 0]
        fused = self.network(batch.visible, batch.thermal).float()
        illumination = illumination_intensity(
            fused, batch.clean_thermal, batch.clean_visible, day)
        return {'illumination': self._weight * illumination,
                **{name: weight * term(fused, batch)
                   for name, (weight, term) in self._terms.items()}}
