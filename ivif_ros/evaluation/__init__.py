# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How good, where and by how much: fusion methods measured on recordings."""
