# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable versions of the evaluation figures of `ivif_ros.metrics.fusion`.

All take (n, 1, h, w) planes in 0..1 and return (n,) values in the units of the figures (grey levels
0..255, bits). On an 8-bit image they agree with the NumPy figures to about 1e-3. They compute in
float32 (float64 for float64), under autocast too, and can be differentiated once. VIF, SSIM, Qabf,
SCD and CC grow with what is kept of the sources; SF, AG, SD and EN look at the fused image alone
and grow with noise.

`SourceStatistics` holds what depends on the sources alone. Make one for each batch when more than
one figure, or one figure more than once, is wanted.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ivif_ros.training.losses.edges import EdgePreservation
from ivif_ros.training.losses.fidelity import StructuralSimilarity, VisualInformationFidelity
from ivif_ros.training.losses.filters import check_planes, exact, gaussian, single

_TINY = 0.01  # added to variances, squared grey levels: a constant image correlates with nothing


class SourceStatistics:
    """Figures of fused images against one pair of sources.

    What depends on the sources is computed without a graph, when a figure is asked for first.

    Args:
        thermal: (n, 1, h, w) in 0..1.
        visible: (n, 1, h, w) in 0..1.

    Raises:
        ImageError: planes of another shape, or too small for a figure that is asked for.
    """

    def __init__(self, thermal: Tensor, visible: Tensor) -> None:
        """Keep the sources."""
        check_planes(thermal=thermal, visible=visible)
        self.sources = torch.cat((single(thermal), single(visible)), 1).detach()

    @cached_property
    def _vif(self) -> VisualInformationFidelity:
        return VisualInformationFidelity(self.sources)

    @cached_property
    def _ssim(self) -> StructuralSimilarity:
        return StructuralSimilarity(self.sources)

    @cached_property
    def _qabf(self) -> EdgePreservation:
        return EdgePreservation(self.sources)

    @cached_property
    def _centred(self) -> tuple[Tensor, Tensor]:
        """Sources in grey levels without their means, and their variances (n, k)."""
        with torch.no_grad(), exact(self.sources):
            return _centre(self.sources)

    def vif(self, fused: Tensor) -> Tensor:
        """Mean VIF over both sources, (n,)."""
        return self.vif_of_each(fused).mean(1)

    def vif_of_each(self, fused: Tensor) -> Tensor:
        """VIF against thermal and visible, (n, 2)."""
        check_planes(fused=fused, source=self.sources[:, :1])
        return self._vif(fused)

    def ssim(self, fused: Tensor) -> Tensor:
        """Mean SSIM over both sources, (n,)."""
        return self.ssim_of_each(fused).mean(1)

    def ssim_of_each(self, fused: Tensor) -> Tensor:
        """SSIM against thermal and visible, (n, 2)."""
        check_planes(fused=fused, source=self.sources[:, :1])
        return self._ssim(fused)

    def qabf(self, fused: Tensor) -> Tensor:
        """Qabf, (n,)."""
        check_planes(fused=fused, source=self.sources[:, :1])
        return self._qabf(fused)

    def scd(self, fused: Tensor) -> Tensor:
        """Sum of the correlations of differences (Aslantas and Bendes 2015), (n,), at most 2."""
        check_planes(fused=fused, source=self.sources[:, :1])
        sources, variances = self._centred
        with exact(fused):
            f, _ = _centre(fused)
            rest = f - sources.flip(1)  # the fused image less the other source
            covariance = (sources * rest).mean((2, 3))
            scale = torch.sqrt((variances + _TINY) * ((rest * rest).mean((2, 3)) + _TINY))
            return (covariance / scale).sum(1)

    def cc(self, fused: Tensor) -> Tensor:
        """Mean correlation with both sources, (n,)."""
        check_planes(fused=fused, source=self.sources[:, :1])
        sources, variances = self._centred
        with exact(fused):
            f, variance = _centre(fused)
            covariance = (sources * f).mean((2, 3))
            return (covariance / torch.sqrt((variances + _TINY) * (variance + _TINY))).mean(1)


def vif(fused: Tensor, source: Tensor) -> Tensor:
    """Visual information fidelity against one source, see `fidelity`; at least 72 pixels a side."""
    check_planes(fused=fused, source=source)
    return VisualInformationFidelity(source.detach())(fused)[:, 0]


def ssim(fused: Tensor, source: Tensor) -> Tensor:
    """Structural similarity to one source, see `fidelity`."""
    check_planes(fused=fused, source=source)
    return StructuralSimilarity(source.detach())(fused)[:, 0]


def qabf(fused: Tensor, thermal: Tensor, visible: Tensor) -> Tensor:
    """Edge preservation, see `edges`."""
    return SourceStatistics(thermal, visible).qabf(fused)


def scd(fused: Tensor, thermal: Tensor, visible: Tensor) -> Tensor:
    """Sum of the correlations of differences: what one source lacks comes from the other."""
    return SourceStatistics(thermal, visible).scd(fused)


def cc(fused: Tensor, thermal: Tensor, visible: Tensor) -> Tensor:
    """Mean correlation with both sources."""
    return SourceStatistics(thermal, visible).cc(fused)


def sf(fused: Tensor) -> Tensor:
    """Spatial frequency: root of the mean squares of row and column first differences."""
    check_planes(fused=fused)
    with exact(fused):
        x = single(fused) * 255
        dy, dx = x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]
        return torch.sqrt(_mean(dy * dy) + _mean(dx * dx) + 1e-6)


def ag(fused: Tensor) -> Tensor:
    """Average gradient: mean of `sqrt((dx^2 + dy^2) / 2)`, one-sided at the border."""
    check_planes(fused=fused)
    with exact(fused):
        x = single(fused) * 255
        dy, dx = torch.gradient(x, dim=(2, 3))
        return _mean(torch.sqrt((dx * dx + dy * dy) / 2 + 1e-6))


def sd(fused: Tensor) -> Tensor:
    """Standard deviation of the grey levels."""
    check_planes(fused=fused)
    with exact(fused):
        return torch.sqrt(_centre(fused)[1][:, 0] + 1e-6)


def entropy(fused: Tensor) -> Tensor:
    """Entropy in bits of the grey levels, rounded to 256.

    The value is exact. Rounding has no derivative; that of a kernel estimate of the density (sigma
    4 levels) is passed straight through: each pixel is drawn to where fewer pixels are.
    """
    check_planes(fused=fused)
    with exact(fused):
        value: Tensor = _Entropy.apply(single(fused))
        return value


class _Entropy(torch.autograd.Function):
    SIGMA = 4.0

    @staticmethod
    def forward(ctx, fused):  # type: ignore[no-untyped-def]
        n = len(fused)
        count = fused[0].numel()
        levels = (fused * 255).round().clamp(0, 255).long().view(n, count)
        offset = torch.arange(n, device=fused.device).view(n, 1) * 256
        histogram = torch.bincount((levels + offset).view(-1), minlength=256 * n)
        p = histogram.view(n, 256).to(fused.dtype) / count
        ctx.save_for_backward(levels, p)
        ctx.shape = fused.shape
        return -torch.special.xlogy(p, p).sum(1) / torch.log(p.new_tensor(2.0))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        levels, p = ctx.saved_tensors
        count = levels.shape[1]
        smooth, slope = _density_kernels(_Entropy.SIGMA, p.dtype, p.device)
        # A level that nobody has costs as if a tenth of a pixel were there.
        surprise = -torch.log2((p @ smooth).clamp_min(0.1 / count))
        towards = (surprise @ slope) * (255 / count)
        return (towards * grad.view(-1, 1)).gather(1, levels).view(ctx.shape)


@lru_cache(maxsize=16)
def _density_kernels(sigma: float, dtype: torch.dtype,
                     device: torch.device) -> tuple[Tensor, Tensor]:
    """Matrices (256, 256) that smooth a row of levels, and take the slope of the smoothed row."""
    with torch.inference_mode(False), torch.no_grad():
        radius = round(4 * sigma)
        window = gaussian(2 * radius + 1, sigma, torch.float64, torch.device('cpu'))
        smooth = torch.zeros(256, 256, dtype=torch.float64)
        for level in range(256):
            # What would fall outside stays at the border.
            reached = (torch.arange(level - radius, level + radius + 1)).clamp(0, 255)
            smooth[level].index_add_(0, reached, window)
        mean = smooth.t()  # of the levels around each level
        slope = torch.empty_like(mean)
        slope[:, 1:-1] = (mean[:, 2:] - mean[:, :-2]) / 2
        slope[:, 0] = mean[:, 1] - mean[:, 0]
        slope[:, -1] = mean[:, -1] - mean[:, -2]
        return smooth.to(device, dtype), slope.to(device, dtype)


def _centre(x: Tensor) -> tuple[Tensor, Tensor]:
    """Planes in grey levels without their means, and their variances (n, c)."""
    levels = single(x) * 255
    levels = levels - levels.mean((2, 3), keepdim=True)
    return levels, (levels * levels).mean((2, 3))


def _mean(x: Tensor) -> Tensor:
    """Mean of each image, (n, 1, h, w) -> (n,)."""
    return x.mean((1, 2, 3))
