# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS tells how late the thermal stamps are, and pairs by it where it may."""

import math

import pytest

pytest.importorskip('rclpy')

import moving_streams as ms
from diagnostic_msgs.msg import DiagnosticArray

from ivif_ros.msg import Status
from ivif_ros.nodes.ivif_node import IvifNode

LAG_MS = 80


def test_status_and_diagnostics_carry_the_offset(start, partner, cameras):
    node = start(IvifNode, {
        'sync.offset_estimation': 'apply', 'sync.max_wait_ms': 200.0, 'fusion.method': 'average',
        'registration.mode': 'none', 'output.diagnostics_period_s': 0.2})
    partner.subscribe(Status, 'status')
    partner.subscribe(DiagnosticArray, '/diagnostics')
    both = cameras(node)
    both.wait()
    world, sent = ms.World(), 0

    def send():
        """One pair each time; only stamps count, so it need not be as fast as it says."""
        nonlocal sent
        sent += 1
        now = both.stamp_ns + both.PERIOD_NS
        both.send(
            rgb=both.image('rgb', now, world.rgb(sent / 30)),
            thermal=both.image('thermal', now + (LAG_MS - 5) * ms.MS,
                               world.thermal(sent / 30 - 0.005)))
        return next((status for status in partner.received['status'][-3:]
                     if status.thermal_offset != 0), None)
    status = partner.wait(send, 'an offset in use', deadline_s=60.0)
    assert status.thermal_offset == pytest.approx(-LAG_MS, abs=5.0)
    assert status.thermal_offset_estimate == pytest.approx(-LAG_MS, abs=5.0)
    assert 0 < status.thermal_offset_std < 15
    assert math.isnan(partner.received['status'][0].thermal_offset_estimate)

    def told():
        send()
        for message in reversed(partner.received['/diagnostics']):
            for task in message.status:
                if task.name.endswith(': sync'):
                    values = {item.key: item.value for item in task.values}
                    return float(values['thermal offset in use [ms]']) != 0 and values
        return None
    values = partner.wait(told, 'diagnostics')
    assert float(values['thermal offset in use [ms]']) == pytest.approx(-LAG_MS, abs=5.0)
    assert float(values['thermal offset estimate [ms]']) == pytest.approx(-LAG_MS, abs=5.0)
