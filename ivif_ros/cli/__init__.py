# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The command `ivif`: one module per sub-command, imported when it is called."""
