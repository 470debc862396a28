# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Training of the networks: `python -m ivif_ros.training.fusion METHOD`, `….registration`.

A recipe (`recipes/`) says what the network is, the objective that it is trained with and the
settings. `data/` makes batches, `losses/` and `objectives/` judge them, `trainer` does the steps,
`command` is what both command lines share.
"""
