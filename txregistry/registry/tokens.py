# SPDX-License-Identifier: Apache-2.0
"""The token that an upload's URL carries (``_state``): what a client must show to go on with it.

Room: registry. Must not know URLs. It is registry:3's, so that either registry takes over uploads
of the other if both have the same secret::

    token = base64url( HMAC-SHA256(secret, json) json )      padded
    json  = {"Name":"lib/app","UUID":"0f3a...","Offset":5,"StartedAt":"2025-01-31T10:20:30Z"}

A member ``Algorithm`` follows where an upload was started for another algorithm than sha256, and
``Owner`` where somebody in particular started it; the other registry ignores both. Members that we
do not know are ignored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from attrs import frozen

from txregistry.oci.digests import ALGORITHMS, CANONICAL
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName, UploadId

#: Longest token that is looked at, in characters. Arbitrary: the longest name and id make about
#: 800.
TOKEN_LIMIT = 4096

#: Seconds after which a client may try again while the storage has not come up. Arbitrary.
RETRY_AFTER = 5

_MAC_LENGTH = hashlib.sha256().digest_size


@frozen
class UploadState:
    """What a token says.

    Attributes:
        offset: bytes that the upload held when the token was made.
        started_at: RFC 3339, as it stands in the upload's record.
        algorithm: of the digest that the upload was announced with.
        owner: who began it; empty if nobody in particular did, or another registry's client.
    """

    repository: RepositoryName
    upload_id: UploadId
    offset: int
    started_at: str
    algorithm: str = CANONICAL
    owner: str = ""


class Tokens:
    """Makes and checks tokens.

    Args:
        secret: key of the signature, the same on all hosts of one storage; None while the storage,
            which holds it, can't be asked. Set the attribute once it can.
    """

    def __init__(self, secret: bytes | None) -> None:
        self.secret = secret

    def seal(self, state: UploadState) -> str:
        """Return the token that says ``state``."""
        members: dict[str, object] = {
            "Name": state.repository.text,
            "UUID": state.upload_id.text,
            "Offset": state.offset,
            "StartedAt": state.started_at,
        }
        if state.algorithm != CANONICAL:
            members["Algorithm"] = state.algorithm
        if state.owner:
            members["Owner"] = state.owner
        text = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._sign(text) + text).decode("ascii")

    def open(
        self, token: str | None, repository: RepositoryName, upload_id: UploadId
    ) -> UploadState:
        """Return what ``token`` says, if we (or who has our secret) made it for that upload.

        Raises:
            OciError: BLOB_UPLOAD_INVALID, for a missing token, too.
        """
        state = _parse(self._authentic(token or ""))
        if state is None or (state.repository, state.upload_id) != (repository, upload_id):
            raise OciError(Code.BLOB_UPLOAD_INVALID)
        return state

    def _authentic(self, token: str) -> bytes:
        """Return the JSON in ``token``, empty if it was not signed with our secret."""
        if len(token) > TOKEN_LIMIT:
            return b""
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            return b""
        mac, text = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
        # The last character has bits that decoding drops; a token has one spelling all the same.
        is_canonical = base64.urlsafe_b64encode(raw).decode("ascii") == token
        return text if hmac.compare_digest(mac, self._sign(text)) and is_canonical else b""

    def _sign(self, text: bytes) -> bytes:
        if self.secret is None:
            raise OciError(
                Code.UNAVAILABLE, "the storage can't be asked yet", retry_after=RETRY_AFTER
            )
        return hmac.digest(self.secret, text, "sha256")


def _parse(text: bytes) -> UploadState | None:
    """Return the state that authentic JSON spells; None if another version's members differ."""
    try:
        members = json.loads(text)
    except ValueError:
        return None
    if not isinstance(members, dict):
        return None
    name, upload_id, started_at = (members.get(key) for key in ("Name", "UUID", "StartedAt"))
    offset, algorithm = members.get("Offset"), members.get("Algorithm", CANONICAL)
    if not (isinstance(name, str) and isinstance(upload_id, str) and isinstance(started_at, str)):
        return None
    owner = members.get("Owner", "")
    if type(offset) is not int or offset < 0 or algorithm not in tuple(ALGORITHMS):
        return None
    if not isinstance(owner, str):
        return None
    place = (RepositoryName(name), UploadId(upload_id))
    return UploadState(*place, offset, started_at, algorithm, owner)
