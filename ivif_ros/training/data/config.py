# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What training batches are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from ivif_ros.errors import ParameterError

SIMULATED = 'simulated'
"""Name of the simulator among the data sets."""


@dataclass(frozen=True)
class DataConfig:
    """Sources of the pairs, geometry of the crops, and the probability of each degradation.

    A probability is that of one sample of a batch, unless it says otherwise. At most two
    degradations of the visible and two of the thermal image meet in one sample; where chance wants
    more, two of them are drawn.

    Attributes:
        datasets: folders below the root to use; none for all that have a list of splits or, where
            there is no such folder, for all with `rgb/` and `thermal/`.
        share: data set -> relative share of the samples, 0 leaves it out. Where none is given, it
            follows the square root of the number of pairs, with a sum of 1 over all data sets. What
            is given to a public data set that is not there has no effect.
        simulated: share of the samples that the simulator renders, of all samples.
        simulated_scenes: streets that are rendered; each takes some seconds, once.
        temporal: probability of a whole batch to have `then`.
        stand_still: part of the samples of such a batch that are stills, seen twice with different
            noise by a camera that moved by at most two pixels; the others come from videos.
        cache_mb: memory for decoded images in MB; beyond it, files are decoded again.
        flip: probability of a mirror image, left for right.
        shrink: probability of a crop from a larger region, made smaller by up to a factor of two.
        intensity: probability of another gamma and contrast of the pair itself, clean and degraded.
        degradation: factor on the probabilities of the degradations, which follow; 0 for none.
        strongest: strengths are drawn from 0 (just to be seen) to this, at most 1.
        low_light: too little light: darker, with photon noise.
        glare: lamps that blind the camera.
        over_exposure: bright parts that are clipped.
        haze: haze or smoke, which thermal sees through.
        visible_noise: noise of the colour camera.
        visible_blur: defocus or motion of the colour camera.
        compression: blocks of a JPEG file.
        low_resolution: thermal camera of 1/2 to 1/6 the pixels.
        thermal_blur: defocus of the thermal camera.
        thermal_noise: noise of the thermal camera.
        stripes: noise of rows or columns of the thermal sensor.
        contrast_loss: thermal scene of little contrast.
        saturation: thermal image that is clipped at the top.
        dead: black thermal image, clean and degraded.
        misalignment: thermal image that registration has left a little beside its place.
    """

    datasets: tuple[str, ...] = ()
    share: dict[str, float] = field(default_factory=dict)
    simulated: float = 0.0
    simulated_scenes: int = 6
    temporal: float = 0.0
    stand_still: float = 0.5
    cache_mb: int = 1500
    flip: float = 0.5
    shrink: float = 0.25
    intensity: float = 0.3
    degradation: float = 1.0
    strongest: float = 1.0
    low_light: float = 0.06
    glare: float = 0.06
    over_exposure: float = 0.04
    haze: float = 0.08
    visible_noise: float = 0.06
    visible_blur: float = 0.03
    compression: float = 0.03
    low_resolution: float = 0.10
    thermal_blur: float = 0.04
    thermal_noise: float = 0.06
    stripes: float = 0.05
    contrast_loss: float = 0.04
    saturation: float = 0.03
    dead: float = 0.02
    misalignment: float = 0.10

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ParameterError: a setting lies outside its range.
        """
        for item in fields(self):
            value = getattr(self, item.name)
            most = math.inf if item.name == 'degradation' else 1
            if isinstance(value, float) and not 0 <= value <= most:
                raise ParameterError(f'data.{item.name} is {value}, expected 0 to {most:g}')
        if self.simulated_scenes < 1:
            raise ParameterError(
                f'data.simulated_scenes is {self.simulated_scenes}, expected 1 or more')
        if self.cache_mb < 0:
            raise ParameterError(f'data.cache_mb is {self.cache_mb}, expected 0 or more')
        for name, share in self.share.items():
            if not 0 <= share < math.inf:
                raise ParameterError(f"data.share of '{name}' is {share}, expected 0 or more")
