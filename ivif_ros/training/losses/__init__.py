# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses of image fusion, each a small documented piece: `(fused, ...) -> scalar`.

Planes are (n, 1, h, w), floating point in 0..1, thermal warm is bright; two sources come in the
order thermal, visible.

- `metric`, `fidelity`, `edges`: the evaluation figures, differentiable; `quality`: as one loss.
- `pixel`: intensity, gradient, detail, total variation. `structural`: SSIM, MS-SSIM.
- `saliency`, `illumination`, `focus`, `pmgi`: which source is followed where.
- `features`, `style`, `contrastive`: losses in a feature space. `adversarial`: against a critic.
- `distillation`, `temporal`, `halo`: to a teacher, over time, against overshoot.
- `filters`: the filters that they share.
"""
