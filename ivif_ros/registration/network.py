# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The network that finds where the pixels of an RGB image lie in a thermal image.

Both images are described by structure whose sign does not matter (`structure`), then by one
encoder with an entrance of its own for each modality, so that both end in one feature space. Two
heads compare the images: `similarity` compares every 8x8 cell of one image with every cell of the
other, for the global model; `refine` compares each 4x4 cell with its surroundings, by features and
by the directions of edges (`edges`), and says how far the thermal image still is from where it
should be, and how sure that is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.registration.correlation import local_correlation
from ivif_ros.registration.structure import PROPOSALS, edge_directions, shift_proposals, structure

COARSE = 8
"""Pixels of the working image per cell of the global comparison."""
FINE = 4
"""Pixels of the working image per cell of the refinement."""
STEP = 16
"""Sides of working images are multiples of this."""
REACH = 3
"""Cells of 4x4 pixels by which the refinement looks around."""


class Features(NamedTuple):
    """What the encoder says about one image of (n, 1, h, w).

    Attributes:
        coarse: (n, c, h / 8, w / 8) unit vectors.
        middle: (n, c, h / 4, w / 4) unit vectors.
        context: (n, c, h / 4, w / 4) what the image shows.
        edges: directions of edges at 1/2 and at 1/4, see `edge_directions`.
    """

    coarse: Tensor
    middle: Tensor
    context: Tensor
    edges: tuple[Tensor, Tensor]


class Correction(NamedTuple):
    """What the refinement says, per cell of 4x4 pixels.

    Attributes:
        flow: (n, 2, h / 4, w / 4) x, y in pixels of the working image: what is seen at pixel p of
            the RGB image is seen at p + flow of the thermal one.
        error: (n, 1, h / 4, w / 4) expected length of the error of the flow in pixels.
        matched: (n, 1, h / 4, w / 4) logit of whether both images show the same thing at all.
    """

    flow: Tensor
    error: Tensor
    matched: Tensor


class RegistrationNetwork(nn.Module):
    """Encoder and heads; sizes of working images are multiples of STEP.

    Attributes:
        config: keyword arguments that make it again.
    """

    def __init__(self, narrow: int = 24, middle: int = 48, wide: int = 96, deep: int = 64,
                 head: int = 64) -> None:
        """Make the layers.

        Args:
            narrow: channels at 1/2 of the resolution.
            middle: channels at 1/4.
            wide: channels at 1/8.
            deep: channels at 1/16.
            head: channels of the refinement.
        """
        super().__init__()
        self.config: dict[str, Any] = {
            'narrow': narrow, 'middle': middle, 'wide': wide, 'deep': deep, 'head': head}
        self.entrances = nn.ModuleDict({
            name: _layer(4, narrow, size=5, stride=2) for name in ('rgb', 'thermal')})
        self.quarter = nn.Sequential(_layer(narrow, middle, stride=2), _layer(middle, middle))
        self.eighth = nn.Sequential(_layer(middle, wide, stride=2), _Residual(wide))
        self.sixteenth = nn.Sequential(_layer(wide, deep, stride=2), _Residual(deep))
        self.up_eighth = nn.Conv2d(deep, wide, 1)
        self.mix_eighth = _layer(wide, wide)
        self.coarse = nn.Conv2d(wide, wide, 1)
        self.up_quarter = nn.Conv2d(wide, middle, 1)
        self.mix_quarter = _layer(middle, head)
        self.middle = nn.Conv2d(head, head, 1)
        self.sharpness = nn.Parameter(torch.tensor(2.7))

        seen = (2 * REACH + 1) ** 2 + 2 * head + 3 * PROPOSALS
        self.enter = nn.Sequential(_layer(seen, head, size=1), _layer(head, head))
        self.around = nn.Sequential(_layer(head, head, stride=2), _Residual(head))
        self.overview = nn.Sequential(_layer(head, head, stride=2), _Residual(head))
        self.whole = nn.Conv2d(head, head, 1)
        self.merge = _layer(head, head)
        self.leave = nn.Sequential(_layer(head, head), nn.Conv2d(head, 4 + PROPOSALS, 3, padding=1))
        # Convolutions of this layout are several times faster on a CPU.
        self.to(memory_format=torch.channels_last)    # type: ignore[call-overload]

    def encode(self, image: Tensor, modality: str) -> Features:
        """Describe images.

        Args:
            image: (n, 1, h, w) float32 in 0..1.
            modality: `rgb` or `thermal`.
        """
        shape = structure(image)
        return self.describe(*self.pyramid([(shape, modality)]), edge_directions(shape))

    def pyramid(self, images: list[tuple[Tensor, str]]) -> tuple[Tensor, Tensor]:
        """Run the way down on images of both modalities at once.

        Args:
            images: `structure` (n, 4, h, w) with its modality, each.

        Returns:
            Features of all of them, one after the other, at 1/4 and 1/8.
        """
        kind = self.coarse.weight.dtype
        half = torch.cat([self.entrances[modality](shape.to(kind)) for shape, modality in images])
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        deep = self.up_eighth(self.sixteenth(eighth))
        return quarter, self.mix_eighth(functional.relu(eighth + _doubled(deep)))

    def describe(self, quarter: Tensor, eighth: Tensor,
                 edges: tuple[Tensor, Tensor]) -> Features:
        """Run the way up: descriptors from what `pyramid` gives."""
        context = self.mix_quarter(functional.relu(quarter + _doubled(self.up_quarter(eighth))))
        return Features(self.describe_coarse(eighth), _unit(self.middle(context)), context, edges)

    def describe_coarse(self, eighth: Tensor) -> Tensor:
        """Coarse descriptors alone, see `Features.coarse`."""
        return _unit(self.coarse(eighth))

    def similarity(self, rgb: Tensor, thermal: Tensor) -> Tensor:
        """Compare all cells with all cells.

        Args:
            rgb: (n, c, k) coarse features of cells.
            thermal: (n, c, m) the same of the thermal images.

        Returns:
            (n, k, m) float32 logits.
        """
        logits = rgb.transpose(1, 2) @ thermal
        return logits.float() * self.sharpness.float().exp()

    def refine(self, rgb: Features, thermal: Features) -> Correction:
        """Say how far the thermal image is from where it should be."""
        middle = local_correlation(rgb.middle, thermal.middle, REACH)
        return self.decode(middle, rgb, thermal)

    def decode(self, middle: Tensor, rgb: Features, thermal: Features) -> Correction:
        """Turn what is seen around each cell into a correction.

        Args:
            middle: (n, (2 REACH + 1)^2, h / 4, w / 4) inner products of `Features.middle`.
            rgb: features of the RGB images.
            thermal: features of the thermal images.
        """
        with torch.no_grad():
            proposals = shift_proposals(rgb.edges, thermal.edges)
        shifts, spreads = proposals[:, :, :2], proposals[:, :, 2]
        seen = (middle, rgb.context, thermal.context, shifts.flatten(1, 2), spreads)
        entered = self.enter(torch.cat([part.to(rgb.context.dtype) for part in seen], dim=1))
        around = self.around(entered)
        overview = self.overview(around)
        overview = overview + self.whole(overview.mean((2, 3), keepdim=True))
        around = self.merge(around + _doubled(overview))
        out = self.leave(entered + _doubled(around)).float()
        share = out[:, 4:].softmax(1)[:, :, None]
        flow = FINE * (out[:, :2] + (share * shifts).sum(1))
        return Correction(flow, functional.softplus(out[:, 2:3]) * FINE + 0.05, out[:, 3:4])


def _unit(features: Tensor) -> Tensor:
    return functional.normalize(features, dim=1, eps=1e-4)


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode='bilinear', align_corners=False)


def _layer(entering: int, leaving: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(entering, leaving, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(leaving), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    """Two layers whose result is added to what enters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layer(channels, channels), nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels))

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(features + self.layers(features))
