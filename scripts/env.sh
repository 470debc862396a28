# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the other scripts: set-up, and an environment in which nothing leaves this machine.

./scripts/setup
venv="${IVIF_VENV:-$PWD/.venv}"
export PATH="$venv/bin:$PATH"
export AMENT_PREFIX_PATH="$venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
# Humble knows only the older switch, later distributions warn of it.
[ "${ROS_DISTRO:-}" != humble ] || export ROS_LOCALHOST_ONLY="${ROS_LOCALHOST_ONLY:-1}"
# Fast DDS passes whole images through shared memory; the second name holds up to Jazzy.
export FASTDDS_DEFAULT_PROFILES_FILE="${FASTDDS_DEFAULT_PROFILES_FILE:-$PWD/config/fastdds.xml}"
export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$PWD/config/fastdds.xml}"
# A domain of our own (up to 101 is safe on Linux), so that two runs do not hear each other.
export ROS_DOMAIN_ID="${ROS_DOMAIN_ID:-$((RANDOM % 90 + 10))}"
export YOLO_OFFLINE=true YOLO_AUTOINSTALL=false
