# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Declaration, ranges, refusals and start values of ROS parameters."""

import pytest

from ivif_ros.errors import ParameterError
from ivif_ros.parameters import Parameters

pytest.importorskip('rclpy')

from rclpy.node import Node
from rclpy.parameter import Parameter

from ivif_ros.ros.parameters import RosParameters, unknown_start_values


@pytest.fixture
def declared(ros):
    nodes = []

    def make(**start):
        overrides = [Parameter(name.replace('__', '.'), value=value)
                     for name, value in start.items()]
        node = Node('parameters_test', parameter_overrides=overrides)
        nodes.append(node)
        return node, RosParameters(node, Parameters)
    yield make
    for node in nodes:
        node.destroy_node()


def test_defaults_equal_the_dataclass(declared):
    _, parameters = declared()
    assert parameters.values == Parameters()


def test_descriptor_tells_range_unit_choices_and_whether_it_may_change(declared):
    node, _ = declared()
    tolerance = node.describe_parameter('sync.tolerance_ms')
    assert (tolerance.floating_point_range[0].from_value,
            tolerance.floating_point_range[0].to_value) == (0.0, 1000.0)
    assert 'ms' in tolerance.description
    assert not tolerance.read_only
    queue = node.describe_parameter('sync.queue_size')
    assert (queue.integer_range[0].from_value, queue.integer_range[0].to_value) == (1, 1000)
    assert queue.read_only
    assert 'native' in node.describe_parameter('sync.policy').additional_constraints


def test_start_values_are_read_and_integers_serve_as_floats(declared):
    node, parameters = declared(sync__tolerance_ms=35, sync__pairing='match')
    assert parameters.values.sync.tolerance_ms == 35.0
    assert parameters.values.sync.pairing == 'match'
    assert node.get_parameter('sync.tolerance_ms').value == 35.0


@pytest.mark.parametrize(('name', 'value', 'part'), [
    ('sync__tolerance_ms', -1.0, 'sync.tolerance_ms'),
    ('sync__policy', 'fastest', "expected one of ['native', 'message_filters']"),
    ('sync__queue_size', 2.5, 'sync.queue_size'),
    ('thermal__invert', 'yes', 'thermal.invert'),
])
def test_impossible_start_value_is_kept_as_a_problem(declared, name, value, part):
    node, parameters = declared(**{name: value})
    with pytest.raises(ParameterError, match='parameter') as caught:
        parameters.values  # noqa: B018
    assert part in str(caught.value)
    assert node.has_parameter(name.replace('__', '.'))


def test_all_problems_are_named_and_one_can_be_mended(declared):
    node, parameters = declared(sync__tolerance_ms=-1.0, sync__pairing='sometimes')
    with pytest.raises(ParameterError) as caught:
        parameters.values  # noqa: B018
    assert 'sync.tolerance_ms' in str(caught.value)
    assert 'sync.pairing' in str(caught.value)
    node.set_parameters([Parameter('sync.tolerance_ms', value=5.0)])
    node.set_parameters([Parameter('sync.pairing', value='match')])
    assert parameters.values.sync.tolerance_ms == 5.0


def test_change_at_run_time_reaches_the_listener(declared):
    node, parameters = declared()
    seen = []
    parameters.on_change(lambda old, new: seen.append((old.sync.pairing, new.sync.pairing)))
    result = node.set_parameters([Parameter('sync.pairing', value='match')])[0]
    assert result.successful
    assert seen == [('hold', 'match')]
    assert parameters.values.sync.pairing == 'match'


@pytest.mark.parametrize(('name', 'value', 'part'), [
    ('sync.pairing', 'sometimes', 'match'),
    ('sync.tolerance_ms', 1e9, 'range'),
    ('sync.queue_size', 4, 'read-only'),
])
def test_impossible_change_is_refused_with_the_reason(declared, name, value, part):
    node, parameters = declared()
    result = node.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert part in result.reason
    assert parameters.values == Parameters()


def test_a_set_is_taken_as_a_whole_or_not_at_all(declared):
    node, parameters = declared()
    result = node.set_parameters_atomically([
        Parameter('sync.tolerance_ms', value=5.0), Parameter('sync.pairing', value='sometimes')])
    assert not result.successful
    assert node.get_parameter('sync.tolerance_ms').value == 20.0
    assert parameters.values == Parameters()


def test_a_listener_that_refuses_keeps_the_old_values(declared):
    node, parameters = declared()

    def refuse(old, new):
        raise ParameterError('not now')
    parameters.on_change(refuse)
    result = node.set_parameters([Parameter('sync.pairing', value='match')])[0]
    assert (result.successful, result.reason) == (False, 'not now')
    assert parameters.values == Parameters()


def test_unknown_start_value_is_named_with_the_nearest_known_one(declared):
    node, _ = declared(fusion__methd='pyramid', use_sim_time=False)
    lines = unknown_start_values(node)
    assert len(lines) == 1
    assert 'fusion.methd' in lines[0]
    assert "did you mean 'fusion.method'" in lines[0]
