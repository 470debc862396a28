# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What each figure is called, which way is better, and one line that says what it means.

Tables, reports and thresholds take names and order from here. Formulas, papers and the published
implementations that the figures agree with stand with the functions that compute them.
"""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """A figure as people meet it.

    Attributes:
        key: name in results and thresholds, as the literature abbreviates it.
        title: name in full.
        unit: unit, empty for a ratio.
        higher_is_better: None where neither way is: the figure describes and does not judge.
        meaning: one line for a reader who has not met it.
    """

    key: str
    title: str
    unit: str
    higher_is_better: bool | None
    meaning: str


def _table(*metrics: Metric) -> dict[str, Metric]:
    return {metric.key: metric for metric in metrics}


FUSION = _table(
    Metric('EN', 'Entropy', 'bit', None,
           'Variety of grey levels in the fused image; noise raises it too.'),
    Metric('SD', 'Standard deviation', 'grey levels', None,
           'Contrast of the fused image, whether it is that of the scene or not.'),
    Metric('SF', 'Spatial frequency', 'grey levels', None,
           'Strength of detail from pixel to pixel; noise raises it too.'),
    Metric('AG', 'Average gradient', 'grey levels', None,
           'Sharpness of the fused image; noise raises it too.'),
    Metric('MI', 'Mutual information', 'nat', True,
           'How much the grey levels of the fused image tell about those of both cameras, summed.'),
    Metric('CC', 'Correlation coefficient', '', True,
           'Linear correlation with the two cameras, on average.'),
    Metric('SCD', 'Sum of the correlations of differences', '', True,
           'Whether what one camera lacks was taken from the other one; at most 2.'),
    Metric('VIF', 'Visual information fidelity', '', True,
           'Share of what an eye could see in the cameras that is still to be seen, on average.'),
    Metric('Qabf', 'Edge preservation', '', True,
           'How well strength and direction of the edges of both cameras were kept, 0 to 1.'),
    Metric('SSIM', 'Structural similarity', '', True,
           'Local likeness in brightness, contrast and structure to the two cameras, on average.'),
    Metric('MS-SSIM', 'Multi-scale structural similarity', '', True,
           'The same from fine detail to coarse shapes, weighted as people judge.'),
    Metric('PSNR', 'Peak signal-to-noise ratio', 'dB', True,
           'Closeness of the grey levels to both cameras; a plain average scores best.'),
    Metric('dE', 'Colour difference', 'CIE L*a*b*', False,
           'Difference from the colours of the RGB camera where it is lit; 2 is just visible.'),
)
"""Quality of a fused image, in the order of tables."""

OTHER_CONVENTION = {'MI': 'MI_mean', **{key: f'{key}_sum' for key in (
    'CC', 'VIF', 'SSIM', 'MS-SSIM', 'PSNR')}}
"""Figures that compare with both sources -> key of the other convention.

Published tables print the sum for MI and the mean for the rest, under the plain key; some papers
do it the other way round.
"""

REGISTRATION = _table(
    Metric('MSE', 'Mean squared error', 'squared grey levels', False,
           'Difference of grey levels; of little use between thermal and RGB images.'),
    Metric('MI', 'Mutual information', 'bit', True,
           'How much the grey levels of one image tell about those of the other one.'),
    Metric('NCC', 'Normalised cross-correlation', '', True,
           'Linear correlation of the registered thermal image with the RGB image, -1 to 1.'),
    Metric('EPE', 'End-point error', 'px', False,
           'Distance from where pixels were taken from to where they should have been taken from.'),
)
"""Quality of a registration."""

DETECTION = _table(
    Metric('precision', 'Precision', '', True, 'Share of the boxes that are objects.'),
    Metric('recall', 'Recall', '', True, 'Share of the objects that have a box.'),
    Metric('AP50', 'Average precision at IoU 0.50', '', True,
           'Precision over all recalls, boxes that overlap the object by half; mean over classes.'),
    Metric('AP75', 'Average precision at IoU 0.75', '', True,
           'The same for boxes that fit closely.'),
    Metric('mAP50-95', 'Mean average precision at IoU 0.50 to 0.95', '', True,
           'The same, mean over ten overlaps; the main figure of COCO.'),
)
"""Quality of object detection."""

SEGMENTATION = _table(
    Metric('mIoU', 'Mean intersection over union', '', True,
           'Overlap of found and true areas, mean over classes.'),
    Metric('mAcc', 'Mean class accuracy', '', True,
           'Share of the pixels of a class that are found, mean over classes.'),
)
"""Quality of semantic segmentation."""

VIDEO = _table(
    Metric('flicker', 'Flicker', 'grey levels', False,
           'Change of brightness from frame to frame where nothing moves.'),
    Metric('ratio', 'Flicker ratio', '', False,
           'Flicker over that of the less steady camera; above 1 the fusion adds some.'),
    Metric('unexplained', 'Unexplained change', 'grey levels', False,
           'Change from frame to frame that no steady mix of the cameras explains.'),
    Metric('consistency', 'Temporal consistency', '', True,
           'Share of the change from frame to frame that comes from the cameras, 0 to 1.'),
)
"""Steadiness of a fused video."""
