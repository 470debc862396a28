# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Training data: fixed splits, pairs, videos, simulated streets, degradations and the loader."""
