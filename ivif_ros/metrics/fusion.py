# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Quality of a fused image: the figures that the fusion literature quotes.

All functions take grey images of one size: (H, W) uint8 gives a number, a batch (n, H, W) gives
(n,) float64. `evaluate` computes all figures together and takes colour images too. The definitions
are those of the evaluators that published tables use: EN SF SCD VIF Qabf SSIM of TDFusion (CVPR
2025), SD AG MI CC of CDDFuse (CVPR 2023). With reference figures of such evaluators they agree to
all five decimals (but see Qabf). EN, SD, SF and AG look at the fused image alone and rise with
noise: never read them without the others.

f is the fused image, a the thermal and b the visible source, s either of them; means run over
pixels. What compares f with one source is given as mean and as sum over both: papers differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import cached_property

import torch
from torch import Tensor

from ivif_ros.metrics import edges, fidelity, levels, similarity
from ivif_ros.metrics.catalogue import FUSION, OTHER_CONVENTION
from ivif_ros.metrics.colour import colour_differences
from ivif_ros.metrics.levels import PixelStatistics
from ivif_ros.metrics.planes import Figure, figure, grey, planes
from ivif_ros.types import Array


def entropy(image: Array) -> Figure:
    """EN: Shannon entropy of the grey levels, `-sum p log2 p` over 256 levels, in bits.

    Roberts, van Aardt and Ahmed 2008. Agrees with `skimage.measure.shannon_entropy`.
    """
    return figure(levels.entropy(planes(fused=image).flatten(1)) / math.log(2), image)


def standard_deviation(image: Array) -> Figure:
    """SD: standard deviation of the grey levels, `sqrt(mean (f - mean f)^2)`.

    Rao 1997. Agrees with `numpy.std`.
    """
    return figure(PixelStatistics(planes(fused=image)).deviation(0), image)


def spatial_frequency(image: Array) -> Figure:
    """SF: `sqrt(mean (f[y, x] - f[y, x - 1])^2 + mean (f[y, x] - f[y - 1, x])^2)`.

    Eskicioglu and Fisher 1995. As in SeAFusion and TDFusion, each mean runs over the differences
    that there are (evaluators that divide by all pixels are lower by 0.1 % at 640x480).
    """
    return figure(edges.spatial_frequency(planes(least=2, fused=image)[:, 0]), image)


def average_gradient(image: Array) -> Figure:
    """AG: mean of `sqrt((dx^2 + dy^2) / 2)`, central differences, one-sided at the border.

    Cui et al. 2015. As in CDDFuse; the gradient is that of `numpy.gradient`.
    """
    return figure(edges.average_gradient(planes(least=2, fused=image)[:, 0]), image)


def mutual_information(fused: Array, source: Array) -> Figure:
    """MI: `sum p(f, s) ln(p(f, s) / (p(f) p(s)))` over 256 x 256 grey levels, in nats.

    Qu, Zhang and Yan 2002. As in CDDFuse, which calls `sklearn.metrics.mutual_info_score`; tables
    in bits are higher by 1 / ln 2.
    """
    x = planes(fused=fused, source=source).flatten(2)
    return figure(levels.mutual_information(x[:, 0], x[:, 1]), fused)


def correlation_coefficient(fused: Array, source: Array) -> Figure:
    """CC: Pearson correlation of the grey levels; 0 where either image is constant.

    Deshmukh and Bhosale 2010. As in CDDFuse; agrees with `numpy.corrcoef`.
    """
    return figure(PixelStatistics(planes(fused=fused, source=source)).correlation(1, 0), fused)


def sum_of_correlations_of_differences(fused: Array, thermal: Array, visible: Array) -> Figure:
    """SCD: `corr(a, f - b) + corr(b, f - a)`: does what one source lacks come from the other one?

    Aslantas and Bendes 2015. As in TDFusion and SeAFusion; at most 2. A correlation with a constant
    image counts 0.
    """
    found = PixelStatistics(planes(fused=fused, thermal=thermal, visible=visible))
    return figure(_scd(found), fused)


def structural_similarity(fused: Array, source: Array) -> Figure:
    """SSIM: mean of `(2 mf ms + c1)(2 cov + c2) / ((mf^2 + ms^2 + c1)(vf + vs + c2))`.

    Wang, Bovik, Sheikh and Simoncelli 2004, with `c1 = (0.01 * 255)^2`, `c2 = (0.03 * 255)^2`;
    means m, sample variances v and covariance of each 7x7 window that lies inside. As in TDFusion,
    which calls `skimage.metrics.structural_similarity` with its defaults; evaluators with a
    Gaussian window of 11 pixels differ by some hundredths.

    Raises:
        ImageError: an image smaller than the window.
    """
    return _against_source(similarity.structural_similarity, similarity.SSIM_SIDE, fused, source)


def multi_scale_structural_similarity(fused: Array, source: Array) -> Figure:
    """MS-SSIM: product of the contrast and structure of five scales, and of the last luminance.

    Wang, Simoncelli and Bovik 2003: `prod_i mean(cs_i)^w_i`, w = 0.0448, 0.2856, 0.3001, 0.2363,
    0.1333, where `cs = (2 cov + c2) / (vf + vs + c2)` and the last scale is the whole SSIM;
    Gaussian windows of 11 pixels, sigma 1.5, inside the image; scales halve by means of 2x2 pixels.
    As in SeAFusion's evaluator; agrees with `pytorch_msssim.ms_ssim` to 5e-6, down to its zeros at
    the border of images of odd size and its floor of 0 for each factor.

    Raises:
        ImageError: an image of less than 161 pixels a side.
    """
    return _against_source(
        similarity.multi_scale_similarity, similarity.MULTI_SCALE_SIDE, fused, source)


def visual_information_fidelity(fused: Array, source: Array) -> Figure:
    """VIF in the pixel domain: information about the scene that an eye gets from f and from s.

    Sheikh and Bovik 2006: `sum log(1 + g^2 vs / (vr + 2)) / sum log(1 + vs / 2)` over windows of
    four scales, where `g = cov / vs` regresses f on s and `vr = vf - g cov` is what that leaves.
    As in TDFusion, whose `vifp_mscale` follows the authors' `vifp_mscale.m`.

    Raises:
        ImageError: an image too small for four scales.
    """
    return _against_source(
        fidelity.visual_information_fidelity, fidelity.FIDELITY_SIDE, fused, source)


def edge_preservation(fused: Array, thermal: Array, visible: Array) -> Figure:
    """Qabf: how far strength and orientation of the sources' Sobel edges are kept.

    Xydeas and Petrovic 2000: the mean over the pixels of both sources, weighted with the strength g
    of their edges, of `q = 0.9994 / (1 + exp(-15 (G - 0.5))) * 0.9879 / (1 + exp(-22 (A - 0.8)))`,
    `G = min(gs, gf) / max(gs, gf)`, `A = 1 - |angle_s - angle_f| / (pi / 2)`. Agrees with TDFusion
    to 0.0005: published code gives edges of equal strength the strength itself instead of 1.
    """
    x = planes(fused=fused, thermal=thermal, visible=visible)
    return figure(edges.edge_preservation(x[:, :1], x[:, 1:]), fused)


def peak_signal_to_noise_ratio(fused: Array, source: Array) -> Figure:
    """PSNR: `10 log10(255^2 / mean (f - s)^2)` in dB; infinite for equal images.

    Agrees with `skimage.metrics.peak_signal_noise_ratio`. For two sources see `evaluate`.
    """
    error = PixelStatistics(planes(fused=fused, source=source)).squared_error(0, 1)
    return figure(_decibel(error), fused)


def evaluate(fused: Array, thermal: Array, visible: Array,
             figures: Collection[str] = tuple(FUSION)) -> dict[str, float]:
    """Compute figures of one pair.

    Args:
        fused: (H, W, 3) uint8 BGR or (H, W) uint8 grey fused image.
        thermal: (H, W) uint8 thermal image on the same grid.
        visible: (H, W, 3) uint8 BGR or (H, W) uint8 grey RGB image.
        figures: keys of `catalogue.FUSION` to compute.

    Returns:
        The figures in the order of the catalogue, those of grey levels on BT.601 luma:

        * EN, SD, SF, AG of the fused image; SCD and Qabf of all three.
        * CC, VIF, SSIM, MS-SSIM as means over both sources, and as sums under `CC_sum` and so on;
          MI as the sum, as tables have it, and as the mean under `MI_mean`.
        * PSNR of the mean of both squared errors, as published (VIFB; SeAFusion), and `PSNR_sum`,
          the sum of the two ratios; infinite where there is no error.
        * dE, the CIE 1976 colour difference from the RGB image where that is lit, if both images
          are coloured; NaN where nothing is lit.

        MS-SSIM is NaN for images of less than 161 pixels a side.

    Raises:
        ImageError: images that do not fit together or are too small (72 pixels a side for VIF).
        ValueError: a figure that does not exist.
    """
    batch = evaluate_batch(fused[None], thermal[None], visible[None], figures)
    return {key: float(values[0]) for key, values in batch.items()}


def evaluate_batch(fused: Array, thermal: Array, visible: Array,
                   figures: Collection[str] = tuple(FUSION)) -> dict[str, Array]:
    """Compute figures of n pairs, see `evaluate`.

    The pairs are worked on together, with about 80 MB for a pair of 640x480.

    Args:
        fused: (n, H, W, 3) uint8 BGR or (n, H, W) uint8 grey.
        thermal: (n, H, W) uint8.
        visible: (n, H, W, 3) uint8 BGR or (n, H, W) uint8 grey.
        figures: keys of `catalogue.FUSION` to compute.

    Returns:
        The figures, each (n,) float64.

    Raises:
        ImageError: images that do not fit together or are too small.
        ValueError: a figure that does not exist.
    """
    unknown = [key for key in figures if key not in FUSION]
    if unknown:
        raise ValueError(f'there is no figure {unknown[0]!r}, expected some of {", ".join(FUSION)}')
    least = max((_LEAST_SIDE.get(key, 2) for key in figures), default=1)
    colour = (fused, visible) if fused.ndim == visible.ndim == 4 else None
    fused, visible = (grey(x) if x.ndim == 4 else x for x in (fused, visible))
    pairs = _Pairs(planes(least=least, fused=fused, thermal=thermal, visible=visible))
    found: dict[str, Tensor] = {}
    for key in FUSION:
        if key not in figures:
            continue
        if key == 'dE':
            if colour is not None:
                found[key] = torch.from_numpy(colour_differences(*colour)[:, 0])
        elif key == 'PSNR':
            errors = [pairs.pixels.squared_error(0, source) for source in (1, 2)]
            found[key] = _decibel((errors[0] + errors[1]) / 2)
            found[OTHER_CONVENTION[key]] = _decibel(errors[0]) + _decibel(errors[1])
        elif key in OTHER_CONVENTION:
            each = _AGAINST_BOTH[key](pairs)
            one, other = each.mean(1), each.sum(1)
            if key == 'MI':
                one, other = other, one
            found[key], found[OTHER_CONVENTION[key]] = one, other
        else:
            found[key] = _OF_ALL[key](pairs)
    return {key: values.double().numpy() for key, values in found.items()}


class _Pairs:
    """Grey images (n, 3, H, W): fused, thermal, visible."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.fused, self.sources = images[:, :1], images[:, 1:]

    @cached_property
    def pixels(self) -> PixelStatistics:
        return PixelStatistics(self.images)


def _scd(found: PixelStatistics) -> Tensor:
    return found.correlation(1, 0, less=2) + found.correlation(2, 0, less=1)


def _information(pairs: _Pairs) -> Tensor:
    fused, *sources = pairs.images.flatten(2).unbind(1)
    return torch.stack([levels.mutual_information(fused, source) for source in sources], 1)


def _multi_scale(pairs: _Pairs) -> Tensor:
    if min(pairs.images.shape[2:]) < similarity.MULTI_SCALE_SIDE:
        return torch.full((len(pairs.images), 2), torch.nan)
    return similarity.multi_scale_similarity(pairs.fused, pairs.sources)


_OF_ALL: dict[str, Callable[[_Pairs], Tensor]] = {
    'EN': lambda pairs: levels.entropy(pairs.fused.flatten(1)) / math.log(2),
    'SD': lambda pairs: pairs.pixels.deviation(0),
    'SF': lambda pairs: edges.spatial_frequency(pairs.fused[:, 0]),
    'AG': lambda pairs: edges.average_gradient(pairs.fused[:, 0]),
    'SCD': lambda pairs: _scd(pairs.pixels),
    'Qabf': lambda pairs: edges.edge_preservation(pairs.fused, pairs.sources)}
_AGAINST_BOTH: dict[str, Callable[[_Pairs], Tensor]] = {
    'MI': _information,
    'CC': lambda pairs: torch.stack([pairs.pixels.correlation(i, 0) for i in (1, 2)], 1),
    'VIF': lambda pairs: fidelity.visual_information_fidelity(pairs.fused, pairs.sources),
    'SSIM': lambda pairs: similarity.structural_similarity(pairs.fused, pairs.sources),
    'MS-SSIM': _multi_scale}
_LEAST_SIDE = {'VIF': fidelity.FIDELITY_SIDE, 'SSIM': similarity.SSIM_SIDE}


def _against_source(compute: Callable[[Tensor, Tensor], Tensor], least: int,
                    fused: Array, source: Array) -> Figure:
    x = planes(least=least, fused=fused, source=source)
    return figure(compute(x[:, :1], x[:, 1:])[:, 0], fused)


def _decibel(squared_error: Tensor) -> Tensor:
    return 10 * torch.log10(255.0 ** 2 / squared_error)
