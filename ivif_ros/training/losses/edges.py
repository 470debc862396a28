# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable Qabf: how far strength and orientation of the sources' edges are kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ivif_ros.training.losses.filters import exact, single, sobel

_LEVEL = 0.5  # a Sobel answer below this is none: 8-bit images have whole numbers, grey levels
_TURN = 22 / (math.pi / 2)  # slope of the orientation's sigmoid, per radian


class EdgePreservation:
    """Qabf (Xydeas and Petrovic 2000), the figure of `metrics.fusion`.

    Strength `min(gs, gf) / max(gs, gf)` and orientation `1 - |as - af| / (pi / 2)` pass two
    sigmoids; their product is averaged with the strength of the source as weight. Orientations lie
    in (-pi/2, pi/2] and are not wrapped, as in the published evaluators: about the vertical the
    figure jumps. The derivative is that of the branch the pixel is on, `d af = (gy dgx - gx dgy) /
    g^2`; `g^2` has a floor of one squared grey level, so that it fades where the fused image is
    flat. There only the strength can lead.

    Args:
        sources: (n, k, h, w) in 0..1.
    """

    def __init__(self, sources: Tensor) -> None:
        """Take the edges of the sources."""
        with torch.no_grad(), exact(sources):
            gx, gy = sobel(single(sources) * 255, 'constant')
            self._strength = torch.hypot(gx, gy)
            self._inverse = 1 / self._strength.clamp_min(_LEVEL)
            self._angle = _orientation(gx, gy)
            self._total = self._strength.sum((1, 2, 3))

    def __call__(self, fused: Tensor) -> Tensor:
        """Qabf of (n, 1, h, w) in 0..1: (n,)."""
        with exact(fused):
            gx, gy = sobel(single(fused) * 255, 'constant')
            kept: Tensor = _Kept.apply(gx, gy, self._strength, self._inverse, self._angle)
            return torch.where(self._total > 0, kept / self._total.clamp_min(1e-10), 1.0)


def _orientation(gx: Tensor, gy: Tensor) -> Tensor:
    """`atan(-gy / gx)`, +pi/2 where gx is nothing."""
    vertical = gx.abs() < _LEVEL
    angle = torch.atan(-gy / torch.where(vertical, 1.0, gx))
    return angle.masked_fill_(vertical, math.pi / 2)


class _Kept(torch.autograd.Function):
    """Sum of the kept strengths of all sources, (n,), from the gradient of the fused image.

    The derivative is made along with the value: it is two planes for each image, while the steps
    in between are many, and their passes over memory are what costs.
    """

    @staticmethod
    def forward(ctx, gx, gy, strengths, inverses, angles):  # type: ignore[no-untyped-def]
        square = gx * gx + gy * gy
        strength = torch.sqrt(square).clamp_min_(1e-6)
        weaker = strength < strengths
        ratio = torch.where(weaker, strength * inverses, strengths / strength)
        turn = _orientation(gx, gy) - angles
        q_strength = ratio.mul(15).sub_(7.5).sigmoid_()
        q_turn = turn.abs().mul_(-_TURN).add_(22 * 0.2).sigmoid_()
        kept = (q_strength * q_turn).mul_(strengths).mul_(0.9994 * 0.9879)
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            # q' = 15 q (1 - q_strength) ratio', and ratio' = 1 / gs or -gs / gf^2 = -ratio / gf
            by_ratio = torch.where(weaker, inverses, -ratio / strength)
            by_ratio.mul_(kept).mul_(q_strength.neg_().add_(1))
            by_turn = q_turn.neg_().add_(1).mul_(kept).mul_(turn.sign_())
            radial = by_ratio.sum(1, keepdim=True).mul_(15).div_(strength)
            around = by_turn.sum(1, keepdim=True).mul_(-_TURN).div_(square.clamp_min_(1))
            ctx.save_for_backward(radial * gx + around * gy, radial * gy - around * gx)
        return kept.sum((1, 2, 3))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        by_gx, by_gy = ctx.saved_tensors
        grad = grad[:, None, None, None]
        return grad * by_gx, grad * by_gy, None, None, None
