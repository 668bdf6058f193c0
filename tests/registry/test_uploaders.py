# SPDX-License-Identifier: Apache-2.0
"""Whose an upload is."""

from __future__ import annotations

import pytest

from txregistry.oci.errors import Code
from txregistry.registry.uploaders import ANYBODY, Uploader

from ..oci.refusals import refused

BEGAN, SECONDS = "2025-01-31T10:20:30.5Z", 1738318830.5


class UploaderTests:
    @pytest.mark.parametrize("by", [Uploader("alice"), Uploader("alice", SECONDS + 1)])
    def test_own_upload_is_gone_on_with(self, by):
        """Also with a token that has lapsed since it was begun."""
        by.check("alice", BEGAN)

    @pytest.mark.parametrize("by", [Uploader("bob"), ANYBODY, Uploader("bob", SECONDS + 1)])
    def test_upload_of_another_is_not_there(self, by):
        """Nobody finds out that it is."""
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            by.check("alice", BEGAN)

    @pytest.mark.parametrize("by", [Uploader("alice"), ANYBODY])
    def test_upload_of_nobody_in_particular_is_everybodys(self, by):
        by.check("", BEGAN)

    @pytest.mark.parametrize("owner", ["alice", ""])
    @pytest.mark.parametrize("began", [BEGAN, "yesterday", ""])
    def test_lapsed_token_is_good_for_nothing_that_began_later(self, owner, began):
        """Nor for what does not say when it began."""
        with refused(Code.UNAUTHORIZED):
            Uploader("alice", SECONDS).check(owner, began)
