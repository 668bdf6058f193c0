# SPDX-License-Identifier: Apache-2.0
"""The border between what storage refuses and what a client is told."""

from __future__ import annotations

import pytest

from txregistry.oci.errors import Code, OciError
from txregistry.registry.border import ANSWERS, border, translate
from txregistry.storage.errors import CODES, StorageError, Throttled, Unavailable, WrongOffset

ROWS = {
    "Missing": (Code.BLOB_UNKNOWN, None),
    "Exists": (Code.UNAVAILABLE, 1),
    "Changed": (Code.UNAVAILABLE, 1),
    "WrongOffset": (Code.RANGE_INVALID, None),
    "InvalidOffset": (Code.RANGE_INVALID, None),
    "InvalidPath": (Code.UNKNOWN, None),
    "Fenced": (Code.UNAVAILABLE, 1),
    "Closed": (Code.UNKNOWN, None),
    "Mismatch": (Code.DIGEST_INVALID, None),
    "TooLarge": (Code.UNKNOWN, None),
    "NoSpace": (Code.UNAVAILABLE, 30),
    "ReadOnly": (Code.UNAVAILABLE, 30),
    "Throttled": (Code.UNAVAILABLE, 1),
    "Denied": (Code.UNKNOWN, None),
    "Unavailable": (Code.UNAVAILABLE, 1),
    "Corrupt": (Code.UNKNOWN, None),
    "Unsupported": (Code.UNKNOWN, None),
    "BadOptions": (Code.UNKNOWN, None),
    "Internal": (Code.UNKNOWN, None),
}


class BorderTests:
    def test_every_refusal_of_a_driver_has_an_answer(self):
        assert set(ROWS) == set(CODES)
        assert set(ANSWERS) == set(CODES.values())

    @pytest.mark.parametrize("name", ROWS)
    def test_row(self, name):
        error = translate(
            CODES[name]("the driver's words", path="/a"), Code.BLOB_UNKNOWN, "sha256:1"
        )
        assert (error.code, error.retry_after) == ROWS[name]

    @pytest.mark.parametrize("name", ROWS)
    def test_driver_is_not_quoted(self, name):
        """No path and no word of a driver reaches a client."""
        error = translate(
            CODES[name]("secret words", path="/secret"), Code.BLOB_UNKNOWN, "sha256:1"
        )
        assert "secret" not in str(error)
        assert error.detail == ("sha256:1" if name == "Missing" else None)

    def test_kind_of_a_refusal_is_told_as_that_refusal(self):
        """A driver that was silent or lost is a reason to come again, not a fault of ours."""

        class Silent(Unavailable):
            code = "Unavailable"

        error = translate(Silent("no answer"), Code.BLOB_UNKNOWN)
        assert (error.code, error.retry_after) == ROWS["Unavailable"]

    def test_unknown_kind_is_a_fault(self):
        assert translate(StorageError("x"), Code.BLOB_UNKNOWN).code is Code.UNKNOWN

    @pytest.mark.parametrize("seconds, told", [(0, 1), (1.0, 1), (1.5, 2), (60, 60)])
    def test_patience_of_the_backend_is_passed_on(self, seconds, told):
        assert translate(Throttled(retry_after=seconds), Code.UNKNOWN).retry_after == told

    def test_true_offset_is_passed_on(self):
        assert translate(WrongOffset(actual=7), Code.UNKNOWN).offset == 7

    def test_block_keeps_the_cause_for_the_log(self):
        cause = CODES["Internal"]("words")
        with pytest.raises(OciError) as caught, border(Code.UNKNOWN):
            raise cause
        assert caught.value.__cause__ is cause

    def test_other_exceptions_pass(self):
        with pytest.raises(KeyError), border(Code.UNKNOWN):
            raise KeyError
