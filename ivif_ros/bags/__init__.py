# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""TODO."""
