# SPDX-License-Identifier: Apache-2.0
"""A registry without credentials."""

from __future__ import annotations

import pytest_twisted

from txregistry.auth.asking import Asker, Everybody
from txregistry.auth.decisions import ANONYMOUS, Unauthorized


@pytest_twisted.ensureDeferred
async def test_nobody_is_asked_to_log_in():
    """Whatever a client shows, it is nobody in particular; a refusal names no way to log in, so that
    no client asks its user for a password.
    """
    everybody = Everybody()
    assert await everybody.identify(Asker("Basic YTpi")) is ANONYMOUS
    assert everybody.challenge(Unauthorized()) == ""
