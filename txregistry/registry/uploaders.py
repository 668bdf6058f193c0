# SPDX-License-Identifier: Apache-2.0
"""Who is at an upload, and whether it is theirs.

Room: registry. Must not know how anybody was identified. An upload that somebody in particular
began is theirs alone; to others it is not there. One that nobody in particular began, or another
registry's client, belongs to whoever may push to the repository.

Somebody whose token has lapsed may go on with what they began while it was valid.
"""

from __future__ import annotations

from attrs import frozen

from txregistry.oci.errors import Code, OciError
from txregistry.registry.sessions import moment_of


@frozen
class Uploader:
    """Who is at an upload.

    Attributes:
        name: empty for nobody in particular.
        until: when what they were let in by ceased to be valid, in seconds since the epoch; None
            if it has not.
    """

    name: str = ""
    until: float | None = None

    def check(self, owner: str, started_at: str) -> None:
        """Return if an upload may be gone on with.

        Args:
            owner: who began it.
            started_at: when; RFC 3339.

        Raises:
            OciError: BLOB_UPLOAD_UNKNOWN: it is somebody else's. UNAUTHORIZED: it was begun too
                late.
        """
        if owner not in ("", self.name):
            raise OciError(Code.BLOB_UPLOAD_UNKNOWN)
        if self.until is None:
            return
        began = moment_of(started_at)
        if began is None or began >= self.until:
            raise OciError(Code.UNAUTHORIZED)


#: Whoever it is, as long as nobody is asked who they are.
ANYBODY = Uploader()
