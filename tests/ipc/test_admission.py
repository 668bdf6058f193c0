# SPDX-License-Identifier: Apache-2.0
"""Places at the driver: bounded, in order, and never lost."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from txregistry.ipc.admission import Admission
from txregistry.storage.errors import Unavailable


def enter(admission, *, is_durable=False):
    return Deferred.fromCoroutine(admission.enter(is_durable=is_durable))


class AdmissionTests:
    @pytest_twisted.ensureDeferred
    async def test_places_are_given_in_order(self):
        """Whoever came first goes first."""
        admission = Admission(2, 10)
        inside = [enter(admission) for _ in range(2)]
        waiting = [enter(admission) for _ in range(2)]
        assert [one.called for one in inside + waiting] == [True, True, False, False]
        assert admission.waiting == 2
        admission.leave(is_durable=False)
        assert [one.called for one in waiting] == [True, False]
        admission.leave(is_durable=False)
        assert waiting[1].called

    @pytest_twisted.ensureDeferred
    async def test_more_than_may_wait_are_refused(self):
        """A client is told to come later instead of being held for ever; it is counted."""
        admission = Admission(1, 1)
        await enter(admission)
        waiting = enter(admission)
        with pytest.raises(Unavailable):
            await enter(admission)
        assert admission.refused == 1
        admission.leave(is_durable=False)
        await waiting

    @pytest_twisted.ensureDeferred
    async def test_what_syncs_leaves_places_for_others(self):
        """A look never waits behind commits alone."""
        admission = Admission(4, 10)
        durable = [enter(admission, is_durable=True) for _ in range(4)]
        assert [one.called for one in durable] == [True, True, False, False]
        assert admission.waiting == 2
        assert enter(admission).called
        admission.leave(is_durable=True)
        assert durable[2].called

    @pytest_twisted.ensureDeferred
    async def test_who_leaves_the_queue_takes_no_place(self):
        """A client that went away while it waited costs nothing, whatever it waited for."""
        admission = Admission(2, 10)
        for _ in range(2):
            await enter(admission)
        gone = enter(admission, is_durable=True)
        gone.cancel()
        with pytest.raises(CancelledError):
            await gone
        other = enter(admission, is_durable=True)
        admission.leave(is_durable=False)
        assert other.called
        admission.leave(is_durable=False)
        admission.leave(is_durable=True)
        assert enter(admission, is_durable=True).called
