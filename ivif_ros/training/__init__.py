# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Training of the fusion networks: `python -m ivif_ros.training.fusion METHOD`.

A recipe (`recipes/`) names a network of `ivif_ros.fusion.networks`, the objective that it is
trained with and the settings. `data/` makes batches, `losses/` and `objectives/` judge them,
`trainer` does the steps.
"""
