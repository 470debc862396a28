# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Validation of fusion: the exact metrics of whole images that training does not see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ivif_ros.metrics import fusion as metrics
from ivif_ros.training.data.pairs import Pair, validation_pairs
from ivif_ros.training.validate import Verdict, side_by_side, with_datasets
from ivif_ros.types import Array

_FIGURES = ('EN', 'SD', 'SF', 'AG', 'MI', 'CC', 'SCD', 'VIF', 'Qabf', 'SSIM')
"""What scores of recipes can use: the figures that images of any size have."""


class FusionValidation:
    """Pairs of the validation split, kept as bytes."""

    figures = ('EN', 'SF', 'SCD', 'VIF', 'Qabf', 'SSIM')
    picture_name = 'visible_thermal_fused'

    def __init__(self, root: Path | str, datasets: Sequence[str], most: int) -> None:
        """Read the pairs.

        Args:
            root: folder of data sets, or one data set.
            datasets: data sets to use, none for all.
            most: at most this many pairs of each data set.

        Raises:
            SourceError: no such folder, or no validation pairs in it.
        """
        self._pairs = {name: [pair for _, pair in pairs]
                       for name, pairs in validation_pairs(root, datasets, most).items()}

    def __len__(self) -> int:
        """Number of pairs."""
        return sum(len(pairs) for pairs in self._pairs.values())

    def judge(self, network: nn.Module, device: torch.device) -> Verdict:
        """Fuse all pairs and measure the result as 8-bit images; see `Validation.judge`.

        The picture shows visible, thermal and fused image.
        """
        training = network.training
        network.eval()
        found: dict[str, list[dict[str, float]]] = {}
        rows: list[Array] = []
        for name, pairs in self._pairs.items():
            found[name] = []
            for index, pair in enumerate(pairs):
                fused = fuse(network, pair, device)
                figures = metrics.evaluate(fused, pair.thermal, pair.visible, _FIGURES)
                found[name].append({key: figures[key] for key in _FIGURES})
                if index == 0:
                    rows.append(side_by_side(pair.visible, pair.thermal, fused))
        network.train(training)
        means = _means([one for several in found.values() for one in several])
        single = {name: _means(several) for name, several in found.items()}
        return Verdict(with_datasets(means, single), np.concatenate(rows))


@torch.no_grad()
def fuse(network: nn.Module, pair: Pair, device: torch.device) -> Array:
    """Fuse a pair of 8-bit images to an 8-bit image, (H, W) uint8."""
    visible, thermal = (torch.from_numpy(np.ascontiguousarray(plane))[None, None].to(device) / 255
                        for plane in (pair.visible, pair.thermal))
    fused = network(visible, thermal)[0, 0].float()
    # A network that has diverged may give NaN; those pixels become black instead of undefined.
    levels = torch.nan_to_num(fused).clamp(0, 1).mul(255).round()
    image: Array = levels.to(torch.uint8).cpu().numpy()
    return image


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
