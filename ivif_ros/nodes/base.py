# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What all nodes share: parameters, transitions that do not raise, guards, start and end."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from ivif_ros.counters import Counters
from ivif_ros.errors import IvifError
from ivif_ros.nodes.complaints import Complaints
from ivif_ros.parameters import Parameters
from ivif_ros.parameters.node import NodeParameters
from ivif_ros.ros.diagnostics import Diagnostics
from ivif_ros.ros.parameters import RosParameters, unknown_start_values

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
_SWITCH_INTERVAL_S = 0.001
"""How long a thread keeps the interpreter while another one wants it. Fusion gives it up and takes
it again with every operation: at Python's 5 ms it takes a sixth longer beside an estimate of the
registration."""


class BaseNode(LifecycleNode):  # type: ignore[misc]
    """Lifecycle node whose transitions report trouble and leave the node alive.

    A subclass implements `setup` (load and warm up), `start` (listen), `stop` (listen no more) and
    `teardown` (free everything that setup made, also after a setup that failed half way).

    Args:
        name: name of the node unless remapped.
    """

    def __init__(self, name: str, **options: Any) -> None:
        """Declare the parameters; options go to rclpy's node."""
        super().__init__(name, **options)
        self.counters = Counters()
        log = self.get_logger()
        self.warnings = Complaints(log.warning)
        self.failures = Complaints(log.error)
        self.core_parameters = RosParameters(self, Parameters)
        self.shell_parameters = RosParameters(self, NodeParameters)
        self._diagnostics: Diagnostics | None = None
        self.is_active = False
        self._guard_transitions()
        for line in unknown_start_values(self):
            log.warning(line)

    @property
    def params(self) -> Parameters:
        """Parameters of the pipeline.

        Raises:
            ParameterError: impossible start values.
        """
        return self.core_parameters.values

    @property
    def node_params(self) -> NodeParameters:
        """Parameters of the node itself.

        Raises:
            ParameterError: impossible start values.
        """
        return self.shell_parameters.values

    def setup(self, params: Parameters, diagnostics: Diagnostics) -> None:
        """Load models, open publishers and services, add tasks to the diagnostics."""
        raise NotImplementedError

    def start(self) -> None:
        """Open subscriptions and start threads."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close subscriptions and end threads; must not fail."""
        raise NotImplementedError

    def teardown(self) -> None:
        """Free what setup made, as far as it came; must not fail."""
        raise NotImplementedError

    def change_parameters(self, old: Parameters, new: Parameters) -> None:
        """Take new values while the node is configured.

        Raises:
            IvifError: the values are refused; nothing may have changed.
        """
        raise NotImplementedError

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up; a problem is one ERROR line and the node stays unconfigured."""
        if not self._attempt('configure', self._configure):
            self._attempt('clean up', self._unconfigure)
            return FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to listen; a problem is one ERROR line and the node stays inactive."""
        self.counters.reset()
        # Publishers are enabled before the first message can arrive.
        result = super().on_activate(state)
        if not self._attempt('activate', self.start):
            self._attempt('stop', self.stop)
            super().on_deactivate(state)
            return FAILURE
        self.is_active = True
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to listen."""
        self.is_active = False
        self._attempt('stop', self.stop)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        self._attempt('clean up', self._unconfigure)
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything and become unconfigured again."""
        self.close()
        return super().on_error(state)

    def close(self) -> None:
        """Stop and free everything; may be called in any state and twice."""
        if self.is_active:
            self.is_active = False
            self._attempt('stop', self.stop)
        self._attempt('clean up', self._unconfigure)

    def autostart(self) -> None:
        """Configure and activate, unless the parameter `autostart` is false."""
        # Impossible values of other parameters are the business of configure.
        if not self.get_parameter('autostart').value:
            return
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def guarded(self, kind: str, callback: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback so that no message and no defect ends the node.

        Args:
            kind: subject of the log line and of the counter `<kind>.defect`.
            callback: what rclpy shall call.
        """
        def call(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:
                self.report(kind, error)
        return call

    def complain(self, name: str, message: str) -> None:
        """Count something that was lost and warn of it; any thread may call."""
        self.counters.add(name)
        self.warnings.say(name, message)

    def report(self, kind: str, error: Exception) -> None:
        """Count and log an exception; any thread may call."""
        if not self.context.ok():
            return  # publishing fails once the process was told to end
        reason = getattr(error, 'reason', 'error')
        if isinstance(error, IvifError):
            self.complain(f'{kind}.{reason}', f'{kind}: {error}')
        else:
            self.counters.add(f'{kind}.defect')
            self.failures.say(f'{kind}.{type(error).__name__}', f'{kind}: unexpected '
                              + ''.join(traceback.format_exception(error)).rstrip())

    def _guard_transitions(self) -> None:
        """Answer a request for an impossible transition; rclpy lets it end the process."""
        for service in self.services:
            if service.srv_type is ChangeState:
                service.callback = self._refusing(service.callback)

    def _refusing(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        def change_state(request: Any, response: Any) -> Any:
            try:
                return callback(request, response)
            except Exception as error:
                self.get_logger().error(f'transition refused: {error}')
                response.success = False
                return response
        return change_state

    def _configure(self) -> None:
        self.shell_parameters.check()
        params = self.params
        self._diagnostics = Diagnostics(
            self, params.output.diagnostics_period_s, self.get_fully_qualified_name())
        self.setup(params, self._diagnostics)
        self.core_parameters.on_change(self.change_parameters)

    def _unconfigure(self) -> None:
        self.core_parameters.on_change(None)
        self.teardown()
        if self._diagnostics is not None:
            self._diagnostics.close()
            self._diagnostics = None

    def _attempt(self, what: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except IvifError as error:
            self.get_logger().error(f'cannot {what}: {error}')
        except Exception as error:
            self.get_logger().error(f'cannot {what}: unexpected '
                                    + ''.join(traceback.format_exception(error)).rstrip())
        else:
            return True
        return False


def spin(executor: SingleThreadedExecutor, node: BaseNode) -> None:
    """Spin until the process is told to end, or until a callback fails; that is reported."""
    try:
        executor.spin()
    except ExternalShutdownException:
        raise
    except Exception as error:
        node.report('node', error)


def run(node_type: Callable[[], BaseNode], args: Sequence[str] | None = None) -> int:
    """Run a node until the process is told to end.

    Args:
        node_type: makes the node.
        args: command line with ROS arguments; None takes that of the process.

    Returns:
        Exit status; 2 where ROS does not understand its arguments.
    """
    try:
        rclpy.init(args=None if args is None else list(args))
    except (RCLError, UnknownROSArgsError) as error:
        print(f'error: the ROS arguments are wrong: {error}', file=sys.stderr)
        return 2
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    node = None
    try:
        node = node_type()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        node.autostart()
        while rclpy.ok():
            spin(executor, node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
