# SPDX-License-Identifier: Apache-2.0
"""An object that is being read, by stretches, of one generation.

Driver: gcs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from txregistry.driver import Unavailable
from txregistry_drivers.gcs.refusals import FAILURES, PRECONDITION_FAILED, refusal, status_of


def fetching(blob: Any, generation: int, more: dict[str, Any]) -> Callable[[int, int], bytes]:
    """What reads stretches of a blob of Google's library.

    Args:
        more: keyword arguments for every call (timeouts, retries).
    """

    def fetch(start: int, stop: int) -> bytes:
        try:
            data: bytes = blob.download_as_bytes(
                start=start,
                end=stop - 1,
                raw_download=True,
                if_generation_match=generation,
                **more,
            )
        except FAILURES as err:
            if status_of(err) in (404, PRECONDITION_FAILED):
                raise Unavailable("the object is another by now", path=blob.name) from err
            raise refusal(err, blob.name, "a read") from err
        return data

    return fetch
