# SPDX-License-Identifier: Apache-2.0
"""Upload tokens: those of registry:3, byte for byte, and nothing else."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.errors import Code
from txregistry.oci.names import RepositoryName, UploadId
from txregistry.registry.tokens import TOKEN_LIMIT, Tokens, UploadState

from ..oci.refusals import refused

APP = RepositoryName("lib/app")
ID = UploadId("0f3a1d1e-6d0c-4c60-9c1c-2f7a3a1f9b11")
STATE = UploadState(APP, ID, 5, "2025-01-31T10:20:30.123456789Z")

#: What registry:3 makes of that with the secret "asecret".
VECTOR = (
    "TVEzVYmedZZKurMYHvq-ecy3vctinbMKw1yq-CENoSN7Ik5hbWUiOiJsaWIvYXBwIiwiVVVJRCI6IjBmM2ExZDFlLTZkMGMtNGM2MC05YzFj"
    "LTJmN2EzYTFmOWIxMSIsIk9mZnNldCI6NSwiU3RhcnRlZEF0IjoiMjAyNS0wMS0zMVQxMDoyMDozMC4xMjM0NTY3ODlaIn0="
)

TOKENS = Tokens(b"asecret")


def signed(members: object, secret: bytes = b"asecret") -> str:
    """A token that says anything, signed as it should be."""
    text = members if isinstance(members, bytes) else json.dumps(members).encode()
    return base64.urlsafe_b64encode(hmac.digest(secret, text, "sha256") + text).decode()


class TokensTests:
    def test_token_is_that_of_registry_3(self):
        """An upload that began here can be continued there with the same secret."""
        assert TOKENS.seal(STATE) == VECTOR

    def test_token_of_registry_3_is_accepted(self):
        """An upload that began there can be continued here."""
        assert TOKENS.open(VECTOR, APP, ID) == STATE

    def test_another_algorithm_is_carried(self):
        state = UploadState(APP, ID, 0, "2025-01-31T10:20:30Z", "sha512")
        assert TOKENS.open(TOKENS.seal(state), APP, ID) == state

    def test_owner_is_carried(self):
        """Whose upload it is, is known without a look at the storage; of nobody's nothing is said."""
        state = UploadState(APP, ID, 0, "2025-01-31T10:20:30Z", owner="alice")
        assert TOKENS.open(TOKENS.seal(state), APP, ID) == state
        assert TOKENS.open(TOKENS.seal(STATE), APP, ID).owner == ""

    def test_unknown_members_are_ignored(self):
        """A newer version's token still works."""
        members = {
            "Name": "lib/app",
            "UUID": ID.text,
            "Offset": 7,
            "StartedAt": "x",
            "Principal": "alice",
        }
        assert TOKENS.open(signed(members), APP, ID).offset == 7

    @pytest.mark.parametrize(
        "repository, upload_id", [(RepositoryName("lib/b"), ID), (APP, UploadId("b"))]
    )
    def test_token_of_another_upload_is_refused(self, repository, upload_id):
        with refused(Code.BLOB_UPLOAD_INVALID):
            TOKENS.open(VECTOR, repository, upload_id)

    @pytest.mark.parametrize(
        "token",
        [
            None,
            "",
            "x",
            "é",
            "====",
            VECTOR + "A",
            VECTOR[:-1],
            VECTOR.rstrip("="),
            VECTOR.replace("-", "+").replace("_", "/"),
            " " + VECTOR,
            VECTOR + "\n",
            "A" * (TOKEN_LIMIT + 1),
            base64.urlsafe_b64encode(b"short").decode(),
        ],
    )
    def test_what_is_no_token_is_refused(self, token):
        with refused(Code.BLOB_UPLOAD_INVALID):
            TOKENS.open(token, APP, ID)

    def test_other_secret_is_refused(self):
        with refused(Code.BLOB_UPLOAD_INVALID):
            Tokens(b"another").open(VECTOR, APP, ID)

    @pytest.mark.parametrize(
        "members",
        [
            b"",
            b"{",
            b"\xff",
            [],
            {},
            {"Name": "lib/app", "UUID": ID.text, "Offset": "5", "StartedAt": "x"},
            {"Name": "lib/app", "UUID": ID.text, "Offset": True, "StartedAt": "x"},
            {"Name": "lib/app", "UUID": ID.text, "Offset": -1, "StartedAt": "x"},
            {"Name": "lib/app", "UUID": ID.text, "Offset": 1.0, "StartedAt": "x"},
            {"Name": "lib/app", "UUID": ID.text, "Offset": 5},
            {"Name": "lib/app", "UUID": ID.text, "Offset": 5, "StartedAt": "x", "Owner": 1},
            {"Name": 1, "UUID": ID.text, "Offset": 5, "StartedAt": "x"},
            {"Name": "lib/app", "UUID": ID.text, "Offset": 5, "StartedAt": "x", "Algorithm": "md5"},
            {
                "Name": "lib/app",
                "UUID": ID.text,
                "Offset": 5,
                "StartedAt": "x",
                "Algorithm": ["sha256"],
            },
        ],
    )
    def test_signed_nonsense_is_refused(self, members):
        """Whoever shares our secret and writes another format gets a refusal, not a fault."""
        with refused(Code.BLOB_UPLOAD_INVALID):
            TOKENS.open(signed(members), APP, ID)

    @given(st.integers(0, len(VECTOR) - 1), st.sampled_from("ABCwxyz0189-_="))
    def test_changed_character_is_refused(self, place, character):
        """No bit of a token can be changed, not even those that base64 does not use."""
        token = VECTOR[:place] + character + VECTOR[place + 1 :]
        if token != VECTOR:
            with refused(Code.BLOB_UPLOAD_INVALID):
                TOKENS.open(token, APP, ID)
