# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The fusion node as a robot runs it: latency by stage, rate and memory, over real DDS.

Two runs against the node in a process of its own. `rate`: pairs at 30 Hz, as cameras send them.
`soak`: the next pair is sent when the status of the last one has come; the memory of the node is
read on the way.

    python benchmarks/node.py [--seconds 20] [--pairs 2000] [--json FILE] [-- ROS arguments]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from rich.console import Console
from rich.table import Table

from ivif_ros.msg import Status
from ivif_ros.nodes.camera_source import CameraSource
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.types import Frame

REPOSITORY = Path(__file__).resolve().parents[1]
RATE_HZ = 30.0
ESTIMATION = ('registration', 'warp', 'fusion', 'detection')
"""Stages that are not overhead of the node."""


class Driver(CameraSource):
    """Sends pairs and hears what the node makes of them."""

    def __init__(self) -> None:
        """Subscribe like a stack that uses the fused image."""
        super().__init__()
        from sensor_msgs.msg import Image

        self.fused = 0
        self.latencies: list[dict[str, float]] = []
        self.dropped: dict[str, int] = {}
        self.create_subscription(Image, 'fused/image', self._on_fused, 5, raw=True)
        self.create_subscription(Status, 'status', self._on_status, 100)

    def _on_fused(self, _: bytes) -> None:
        self.fused += 1

    def _on_status(self, status: Status) -> None:
        self.latencies.append({item.name: item.latency for item in status.latencies})
        self.dropped = {item.name: item.count for item in status.dropped}

    def send(self, rgb: Frame, thermal: Frame) -> None:
        """Publish a pair with stamps of now, the thermal frame first."""
        now = time.time_ns()
        for sensor, frame in (('thermal', thermal), ('rgb', rgb)):
            self.publish(sensor, Frame(now, frame.frame_id, frame.image, frame.camera))


def rendered(seconds: float) -> list[tuple[Frame, Frame]]:
    """Pairs of the simulated rig."""
    rgb, thermal = [], []
    rig = SimulatedRig(RigConfig(freeze_every_s=0))
    for sensor, frame in rig.frames(seconds):
        (rgb if sensor == 'rgb' else thermal).append(frame)
    return list(zip(rgb, thermal, strict=False))


def run_rate(driver: Driver, pairs: list[tuple[Frame, Frame]], seconds: float) -> dict[str, object]:
    """Send at 30 Hz; the pairs are played forth and back."""
    driver.latencies.clear()
    fused, dropped = driver.fused, driver.dropped
    start = time.monotonic()
    count = round(seconds * RATE_HZ)
    for index in range(count):
        while (left := start + index / RATE_HZ - time.monotonic()) > 0:
            rclpy.spin_once(driver, timeout_sec=left)
        driver.send(*_pendulum(pairs, index))
    _settle(driver, count)
    return {'pairs_sent': count, 'fused_hz': (driver.fused - fused) / seconds,
            'dropped': {name: n - dropped.get(name, 0) for name, n in driver.dropped.items()
                        if n > dropped.get(name, 0)}, **_latencies(driver)}


def run_soak(driver: Driver, pairs: list[tuple[Frame, Frame]], count: int,
             pid: int) -> dict[str, object]:
    """Send one pair after the other and read the memory of the node."""
    driver.latencies.clear()
    memory = []
    start = time.monotonic()
    for index in range(count):
        driver.send(*_pendulum(pairs, index))
        deadline = time.monotonic() + 1.0
        while len(driver.latencies) <= index and time.monotonic() < deadline:
            rclpy.spin_once(driver, timeout_sec=0.1)
        if index % max(1, count // 20) == 0 or index == count - 1:
            memory.append(_resident_mb(pid))
    elapsed = time.monotonic() - start
    # The first pairs allocate what is then used again and again.
    return {'pairs_sent': count, 'pairs_per_second': count / elapsed,
            'resident_mb_after_5_percent': memory[1], 'resident_mb_at_end': memory[-1],
            'growth_mb': memory[-1] - memory[1], **_latencies(driver)}


def _pendulum(pairs: list[tuple[Frame, Frame]], index: int) -> tuple[Frame, Frame]:
    # Forth and back, so that there is no cut in the stream.
    position = index % (2 * len(pairs) - 2)
    return pairs[min(position, 2 * len(pairs) - 2 - position)]


def _settle(driver: Driver, count: int) -> None:
    deadline = time.monotonic() + 1.0
    while len(driver.latencies) < count and time.monotonic() < deadline:
        rclpy.spin_once(driver, timeout_sec=0.1)


def _latencies(driver: Driver) -> dict[str, object]:
    stages: dict[str, list[float]] = {}
    for item in driver.latencies:
        for name, value in item.items():
            stages.setdefault(name, []).append(value)
        stages.setdefault('overhead', []).append(
            item['total'] - sum(item.get(name, 0.0) for name in ESTIMATION))
    return {'ms': {name: {'p50': float(np.percentile(values, 50)),
                          'p99': float(np.percentile(values, 99))}
                   for name, values in stages.items()}}


def _resident_mb(pid: int) -> float:
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f'process {pid} has no resident memory')


def main() -> None:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=20.0, help='length of the run at 30 Hz')
    parser.add_argument('--pairs', type=int, default=2000, help='pairs of the soak')
    parser.add_argument('--json', type=Path, help='file for the figures')
    parser.add_argument('ros', nargs='*', help='arguments of the node, after --')
    options = parser.parse_args()
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        os.environ.setdefault(name, str(REPOSITORY / 'config' / 'fastdds.xml'))
    os.environ.setdefault('ROS_DOMAIN_ID', str(10 + os.getpid() % 90))
    pairs = rendered(3.0)
    rclpy.init()
    driver = Driver()
    node = subprocess.Popen([sys.executable, '-m', 'ivif_ros.nodes.ivif_node', *options.ros])
    try:
        if not driver.wait_for(['/fused/image', '/status'], 60.0):
            raise SystemExit('the node did not start')
        for index in range(60):  # first frames pay for caches and threads
            driver.send(*pairs[index])
            rclpy.spin_once(driver, timeout_sec=0.05)
        results = {'rate': run_rate(driver, pairs, options.seconds),
                   'soak': run_soak(driver, pairs, options.pairs, node.pid)}
    finally:
        node.send_signal(signal.SIGINT)
        node.wait(20)
        driver.destroy_node()
        rclpy.try_shutdown()
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


def _print(results: dict[str, dict[str, object]]) -> None:
    console = Console()
    for name, figures in results.items():
        stages = figures.pop('ms')
        assert isinstance(stages, dict)
        table = Table(title=f'{name}: ' + ', '.join(
            f'{key} {value:.1f}' if isinstance(value, float) else f'{key} {value}'
            for key, value in figures.items()))
        for column in ('stage', 'p50 ms', 'p99 ms'):
            table.add_column(column, justify='left' if column == 'stage' else 'right')
        for stage, values in stages.items():
            table.add_row(stage, f"{values['p50']:.2f}", f"{values['p99']:.2f}")
        console.print(table)
        figures['ms'] = stages


if __name__ == '__main__':
    main()
