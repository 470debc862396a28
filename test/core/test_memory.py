# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Freed memory goes back to the system when work ends."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: what others have freed must not count.
SCRIPT = """
import numpy as np
from ivif_ros.memory import keep_freed_memory, return_freed_memory

def resident_mb():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * 4096 / 2**20

keep_freed_memory()
blocks = [np.ones(2**20, np.uint8) for _ in range(200)]
last = blocks[-1]  # holds the end of the heap, so that nothing shrinks by itself
del blocks
before = resident_mb()
return_freed_memory()
print(before - resident_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc can give memory back')
def test_freed_memory_goes_back_to_the_system():
    done = subprocess.run([sys.executable, '-c', SCRIPT], capture_output=True, text=True,
                          check=True, cwd=Path(__file__).resolve().parents[2])
    assert float(done.stdout) > 150
