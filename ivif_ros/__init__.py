# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Infrared-visible image fusion for robots: one picture from a thermal and a colour camera."""

import pkgutil

# The message classes (ivif_ros.msg) are generated at build time and may lie in another folder of
# the same name; both count as this package.
__path__ = pkgutil.extend_path(__path__, __name__)

__version__ = '0.1.0'
