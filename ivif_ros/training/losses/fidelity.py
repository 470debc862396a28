# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable VIF and SSIM of a fused image against fixed sources.

The sources are prepared once, without a graph; each call then filters only what depends on the
fused image, all planes in one convolution. Second moments are taken about the mean of the sources:
in float32 the difference of large moments would drown the variance of flat regions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ivif_ros.errors import ImageError
from ivif_ros.training.losses.filters import box, exact, filter_valid, gaussian, single

_NOISE = 2.0  # variance of the visual noise of VIF, in squared grey levels
_FLAT = 0.01  # below this variance a window of the source carries nothing, squared grey levels


def _centred(sources: Tensor) -> tuple[Tensor, Tensor]:
    """Sources in grey levels about their common mean (n, 1, 1, 1), and that mean."""
    levels = single(sources) * 255
    mean = levels.mean((1, 2, 3), keepdim=True)
    return levels - mean, mean


def _moments(d: Tensor, reference: Tensor) -> Tensor:
    """Planes d, d^2 and d times each reference, (n, 2 + k, h, w)."""
    return torch.cat((d, d * d, d * reference), 1)


class VisualInformationFidelity:
    """VIF in the pixel domain (Sheikh and Bovik 2006), the figure of `metrics.fusion`.

    In each window of four scales the fused image d is regressed on the source r; what the source
    explains of the variance of d is `e = max(cov(r, d), 0)^2 / var(r)`, and
    `VIF = sum log((var(d) + N) / (var(d) - e + N)) / sum log(1 + var(r) / N)`, N = 2. This is the
    published ratio, written without the quotient of gains whose derivative explodes in flat areas.

    Args:
        sources: (n, k, h, w) in 0..1, at least 72 pixels a side.

    Raises:
        ImageError: too small for four scales.
    """

    def __init__(self, sources: Tensor) -> None:
        """Filter the sources at four scales."""
        if min(sources.shape[2:]) < 72:
            raise ImageError(
                f'planes of {sources.shape[3]}x{sources.shape[2]} are too small for VIF, expected '
                f'at least 72 pixels a side; use a larger crop', 'bad_shape')
        self._scales: list[tuple[Tensor, Tensor, Tensor]] = []
        with torch.no_grad(), exact(sources):
            r, self._offset = _centred(sources)
            total: Tensor | float = 0.0
            for scale in range(1, 5):
                window = self._window(scale, r)
                if scale > 1:
                    r = filter_valid(r, window, window, stride=2)
                moments = filter_valid(torch.cat((r, r * r), 1), window, window)
                mean, square = moments.chunk(2, 1)
                variance = (square - mean * mean).clamp_min(0)
                inverse = torch.where(variance > _FLAT, 1 / variance.clamp_min(_FLAT), 0.0)
                self._scales.append((r, mean, inverse))
                total = total + torch.log1p(variance / _NOISE).sum((2, 3))
            assert isinstance(total, Tensor)
            self._total = total

    @staticmethod
    def _window(scale: int, like: Tensor) -> Tensor:
        size = 2 ** (5 - scale) + 1
        return gaussian(size, size / 5.0, like.dtype, like.device)

    def __call__(self, fused: Tensor) -> Tensor:
        """VIF of (n, 1, h, w) in 0..1 against each source: (n, k)."""
        with exact(fused):
            d = single(fused) * 255 - self._offset
            kept: Tensor | float = 0.0
            for scale, (r, mean, inverse) in enumerate(self._scales, 1):
                window = self._window(scale, d)
                if scale > 1:
                    d = filter_valid(d, window, window, stride=2)
                moments = filter_valid(_moments(d, r), window, window)
                kept = kept + _Kept.apply(moments, mean, inverse)
            assert isinstance(kept, Tensor)
            # A source without any variance has nothing to lose: 1, as the figure has it.
            return torch.where(self._total > 0, kept / self._total.clamp_min(1e-10), 1.0)


class _Kept(torch.autograd.Function):
    """`sum log((var(d) + N) / (var(d) - e + N))` of one scale, from the filtered moments.

    The derivative is written out: with so few channels the passes over memory are what costs.
    Moments are d, d^2 and d r_k; `mean` and `inverse` those of the sources, `1 / var(r_k)`.
    """

    @staticmethod
    def forward(ctx, moments, mean, inverse):  # type: ignore[no-untyped-def]
        md, square, product = moments[:, :1], moments[:, 1:2], moments[:, 2:]
        variance = torch.addcmul(square, md, md, value=-1).clamp_min_(0)
        covariance = torch.addcmul(product, md, mean, value=-1).clamp_min_(0)
        gain = covariance * inverse
        rest = torch.addcmul(variance, covariance, gain, value=-1).clamp_min_(0).add_(_NOISE)
        variance = variance.add_(_NOISE)
        ctx.save_for_backward(md, mean, variance, rest, gain)
        return torch.log(variance).sum((2, 3)) - torch.log(rest).sum((2, 3))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        md, mean, variance, rest, gain = ctx.saved_tensors
        grad = grad[..., None, None]
        # e = gain * cov, so de = 2 gain dcov; none where the covariance is negative (gain 0).
        of_rest = grad / rest
        slope = torch.empty(md.shape[0], 2 + gain.shape[1], *md.shape[2:], dtype=md.dtype,
                            device=md.device)
        of_covariance = torch.mul(of_rest, gain, out=slope[:, 2:]).mul_(2)
        of_variance = torch.div(grad.sum(1, keepdim=True), variance, out=slope[:, 1:2])
        of_variance -= of_rest.sum(1, keepdim=True)
        torch.mul(md, of_variance, out=slope[:, :1]).mul_(-2)
        slope[:, :1] -= (mean * of_covariance).sum(1, keepdim=True)
        return slope, None, None


class StructuralSimilarity:
    """SSIM (Wang et al. 2004), 7x7 uniform window, sample covariances, border excluded.

    `(2 mf ms + c1)(2 cov + c2) / ((mf^2 + ms^2 + c1)(vf + vs + c2))`, mean over the windows.

    Args:
        sources: (n, k, h, w) in 0..1, at least 7 pixels a side.

    Raises:
        ImageError: an image smaller than the window.
    """

    SIZE = 7
    C1 = (0.01 * 255) ** 2
    C2 = (0.03 * 255) ** 2

    def __init__(self, sources: Tensor) -> None:
        """Filter the sources."""
        if min(sources.shape[2:]) < self.SIZE:
            raise ImageError(
                f'planes of {sources.shape[3]}x{sources.shape[2]} are too small for SSIM, '
                f'expected at least {self.SIZE} pixels a side', 'bad_shape')
        # Sample covariances are biased ones times u; dividing by u only changes the constant.
        self._c2 = self.C2 * (self.SIZE ** 2 - 1) / self.SIZE ** 2
        with torch.no_grad(), exact(sources):
            centred, self._offset = _centred(sources)
            window = box(self.SIZE, centred.dtype, centred.device)
            moments = filter_valid(torch.cat((centred, centred * centred), 1), window, window)
            mean, square = moments.chunk(2, 1)
            level = mean + self._offset
            self._twice = 2 * centred
            self._twice_mean = 2 * mean
            self._twice_level = 2 * level
            self._level_floor = level * level + self.C1
            self._variance_floor = square - mean * mean + self._c2

    def maps(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Luminance and contrast-structure terms per window, two (n, k, h - 6, w - 6)."""
        with exact(fused):
            f = single(fused) * 255 - self._offset
            window = box(self.SIZE, f.dtype, f.device)
            moments = filter_valid(_moments(f, self._twice), window, window)
            mean, square, product = moments.split((1, 1, self._twice.shape[1]), 1)
            level = mean + self._offset
            luminance = (level * self._twice_level + self.C1) / (level * level + self._level_floor)
            variance = torch.addcmul(square, mean, mean, value=-1)
            covariance = torch.addcmul(product, mean, self._twice_mean, value=-1)
            return luminance, (covariance + self._c2) / (variance + self._variance_floor)

    def __call__(self, fused: Tensor) -> Tensor:
        """SSIM of (n, 1, h, w) in 0..1 against each source: (n, k)."""
        luminance, contrast = self.maps(fused)
        with exact(fused):
            return (luminance * contrast).mean((2, 3))
