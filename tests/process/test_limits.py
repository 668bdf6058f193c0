# SPDX-License-Identifier: Apache-2.0
"""Descriptors: as many as the system lets a process have."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from txregistry.process.limits import allow_descriptors
print(allow_descriptors(wanted), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "told"),
    [
        (256, 1000, 500, "500 500 1000"),
        (256, 300, 500, "300 300 300"),
        (600, 1000, 500, "600 600 1000"),
    ],
)
def test_limit_is_raised_as_far_as_allowed_and_never_lowered(soft, hard, wanted, told):
    """Nobody has to set it by hand."""
    command = [sys.executable, "-I", "-c", PROGRAM, *map(str, (soft, hard, wanted))]
    assert (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == told
    )
