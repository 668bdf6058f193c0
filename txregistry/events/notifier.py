# SPDX-License-Identifier: Apache-2.0
"""The observer that queues an event for everything that happens and that some receiver wants.

Room: events. Must not know receivers' addresses, nor files. What was changed is queued before it is
answered; pulls and the starts of uploads, of which nothing depends, are queued within a moment and
hold nobody up.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.logger import Logger

from txregistry.errand import CURRENT
from txregistry.events.counts import EndpointCounts
from txregistry.events.endpoint import Endpoint
from txregistry.events.envelope import Source, Stamp, event_of
from txregistry.events.log import EventLog
from txregistry.events.records import encode
from txregistry.oci.digests import Digest
from txregistry.oci.errors import OciError
from txregistry.oci.names import RepositoryName
from txregistry.registry import Action, Event, Parse

#: What may be lost if the process dies within the moment.
_UNAWAITED = frozenset({Action.PULL, Action.START})

#: Bytes of the references of one event; longer ones are left out. Arbitrary: some thousand layers.
REFERENCES_LIMIT = 512 * 1024

log = Logger()


@frozen
class Wishes:
    """What events are to be made.

    Attributes:
        references: name what a manifest refers to.
        uploads: tell of an upload's steps.
    """

    references: bool = False
    uploads: bool = False


class Notifier:
    """An observer of a registry.

    Args:
        endpoints: with what is counted of each.
        now: the clock, seconds since the epoch.
        parse: reads a manifest.
    """

    def __init__(
        self,
        event_log: EventLog,
        endpoints: Sequence[tuple[Endpoint, EndpointCounts]],
        *,
        source: Source,
        wishes: Wishes,
        now: Callable[[], float],
        parse: Parse,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._log = event_log
        self._endpoints = endpoints
        self._source = source
        self._wishes = wishes
        self._now = now
        self._parse = parse
        self._new_id = new_id

    async def told(self, repository: RepositoryName, digest: Digest) -> None:
        """Do nothing: what is only looked at is nobody's news."""

    async def happened(self, event: Event) -> None:
        """Queue it.

        Raises:
            OciError: UNAVAILABLE: it could not be queued, and the client is not to be told that all
                went well.
        """
        wanting = self._wanting(event)
        if not wanting:
            return
        references = await self._references(event) if self._wishes.references else ()
        stamp = Stamp(self._new_id(), self._now())
        line = encode(stamp.time, event_of(event, CURRENT.get(), stamp, self._source, references))

        def written() -> None:
            for counts in wanting:
                counts.took()

        if event.action in _UNAWAITED:
            self._log.append_soon(line, written)
        else:
            await self._log.append(line, written)

    def _wanting(self, event: Event) -> list[EndpointCounts]:
        """Return the counts of the receivers that want it."""
        if event.action.is_of_upload and not self._wishes.uploads:
            return []
        return [
            counts
            for endpoint, counts in self._endpoints
            if endpoint.wants(event.action.value, event.media_type)
        ]

    async def _references(self, event: Event) -> Sequence[Mapping[str, Any]]:
        """Return the descriptors of what a manifest refers to, none if they are too many."""
        if event.manifest is None:
            return ()
        try:
            manifest = await self._parse(event.manifest, event.media_type)
        except OciError as error:
            log.info(
                "what {digest} refers to can't be read: {error}", digest=event.digest, error=error
            )
            return ()
        blobs = manifest.layers if manifest.config is None else (manifest.config, *manifest.layers)
        references = [each.to_json_object() for each in (*blobs, *manifest.children)]
        return references if len(json.dumps(references)) <= REFERENCES_LIMIT else ()
