# SPDX-License-Identifier: Apache-2.0
"""The purge of old uploads, again and again, as configured."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from twisted.logger import Logger

from txregistry.config import Configuration
from txregistry.oci.names import UploadId
from txregistry.registry import purge_uploads
from txregistry.storage.contract import Driver
from txregistry.upkeep import Repeated

#: The first purge of old uploads comes at a random time within this many seconds, so that replicas
#: which were started together don't all begin at once. registry:3 has the same hour.
FIRST_PURGE_WITHIN = 3600.0

_log = Logger()


def start_purging(
    configuration: Configuration,
    driver: Driver,
    reactor: Any,
    is_in_use: Callable[[UploadId], Awaitable[bool]],
) -> list[Repeated]:
    """Begin what repeats: nothing if purges are off, or nothing may change.

    Args:
        is_in_use: says whether a request is at work on a session; such a one stays.
    """
    purging = configuration.upload_purging
    if not purging.enabled or configuration.read_only:
        return []

    async def purge() -> None:
        report = await purge_uploads(
            driver, reactor.seconds(), purging.age, purging.dry_run, is_in_use
        )
        _log.info(
            "purge of old uploads: {examined} examined, {removed} removed, {freed} bytes freed,"
            " {failed} failed",
            **attrs.asdict(report),
        )

    first = random.uniform(0, min(purging.interval, FIRST_PURGE_WITHIN))  # noqa: S311  # no secret
    work = Repeated(
        "the purge of old uploads", purge, reactor, interval=purging.interval, first_after=first
    )
    return [work]
