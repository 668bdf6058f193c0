# SPDX-License-Identifier: Apache-2.0
"""Who may have a root directory at once."""

from __future__ import annotations

import os

import pytest

from txregistry.driver import BadOptions
from txregistry_drivers.filesystem import create


def test_repair_has_the_root_alone(tmp_path):
    """Servers share it; an offline repair waits for none of them, and lets none in."""
    options = {"rootdirectory": os.fspath(tmp_path)}
    first, second = create(options), create(options)
    with pytest.raises(BadOptions, match="is in use by a registry; stop it first"):
        create({**options, "lock": "exclusive"})
    first.close()
    second.close()
    repair = create({**options, "lock": "exclusive"})
    for lock in ("shared", "exclusive"):
        with pytest.raises(BadOptions, match=r"offline repair|in use"):
            create({**options, "lock": lock})
    repair.close()
    create(options).close()


def test_other_locks_are_refused(tmp_path):
    with pytest.raises(BadOptions, match="lock"):
        create({"rootdirectory": os.fspath(tmp_path), "lock": "none"})
