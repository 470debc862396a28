# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Message classes where no ROS 2 installation brings them.

`python -m ivif_ros.interfaces` turns the definitions of `ivif_ros` and, where nobody else provides
it, `vision_msgs` into Python packages and type support libraries of the running environment.
"""
