# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Processes of the demo: what they said, how they ended, and that none is left."""

import pytest

from ivif_ros.demo.run import Processes
from ivif_ros.errors import SourceError


def test_process_that_fails_is_quoted(tmp_path):
    with Processes(tmp_path) as processes:
        # A module that fails at once, since there is no JSON to read.
        processes.start('reader', 'json.tool', []).wait(20)
        processes.start('poet', 'this', []).wait(20)
        with pytest.raises(SourceError) as caught:
            processes.check(finite=['reader'])
    first, *rest = str(caught.value).splitlines()
    assert first == 'reader ended with status 1'
    assert '--- poet said' in rest
    assert 'Expecting value: line 1 column 1 (char 0)' in rest
    assert rest[-1] == 'Expecting value: line 1 column 1 (char 0)'
    # The Zen of Python is longer than what is quoted of it.
    assert 'The Zen of Python, by Tim Peters' not in rest
    assert "Namespaces are one honking great idea -- let's do more of those!" in rest


def test_only_finite_processes_may_end_by_themselves(tmp_path):
    with Processes(tmp_path) as processes:
        processes.start('poet', 'this', []).wait(20)
        processes.check(finite=['poet'])
        with pytest.raises(SourceError, match='poet ended with status 0'):
            processes.check(finite=['other'])


def test_nothing_is_left_running(tmp_path):
    with Processes(tmp_path) as processes:
        server = processes.start('server', 'http.server', ['0', '--bind', '127.0.0.1'])
        processes.check(finite=[])
        assert server.poll() is None
    assert server.poll() is not None
