# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo: camera source, fusion node and recorder as processes, and a report of the run."""
