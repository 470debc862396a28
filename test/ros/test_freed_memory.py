# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Image buffers come from memory that the process has already."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource
import numpy as np
from ivif_ros.memory import keep_freed_memory
if {keep}:
    keep_freed_memory()
for i in range(60):
    if i == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    images = [np.ones(1_000_000, np.uint8) for _ in range(3)]
    del images
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    """Page faults of 50 rounds of three images; 244 pages each, 36 600 if all are paid for anew."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('MALLOC_', 'GLIBC_TUNABLES'))}
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM.format(keep=keep)], text=True, capture_output=True,
        cwd=Path(__file__).resolve().parents[2], env=environment)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='about the allocator of glibc')
def test_no_page_is_paid_for_twice():
    assert faults(keep=False) > 10_000
    assert faults(keep=True) < 1000
