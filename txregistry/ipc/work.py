# SPDX-License-Identifier: Apache-2.0
"""What worker processes are asked: heavy, stateless work that must not hold up the reactor.

Room: ipc. An AMP value holds 65,535 bytes and a manifest up to 4 MiB, so both the document and the
result lie in memory files of the asking process; the box carries their paths.
"""

from __future__ import annotations

import json
from typing import ClassVar

from ampoule.child import AMPChild
from twisted.protocols import amp

from txregistry.oci.errors import OciError
from txregistry.oci.manifests import parse_manifest


class ParseManifest(amp.Command):
    """Parse the document at ``document``; write the result, as JSON, to ``result``: ``manifest`` or
    ``refusal``.
    """

    commandName = b"ParseManifest"
    arguments: ClassVar = [
        (b"document", amp.Unicode()),
        (b"content_type", amp.Unicode(optional=True)),
        (b"result", amp.Unicode()),
    ]
    response: ClassVar = []
    errors: ClassVar = {Exception: b"Internal"}


class Worker(AMPChild):  # type: ignore[misc]  # ampoule has no annotations
    """A worker process."""

    @ParseManifest.responder
    def parse_manifest(
        self, document: str, content_type: str | None, result: str
    ) -> dict[str, object]:
        with open(document, "rb") as file:
            data = file.read()
        answer: dict[str, object]
        try:
            answer = {"manifest": parse_manifest(data, content_type).to_plain()}
        except OciError as refusal:
            answer = {"refusal": refusal.to_plain()}
        with open(result, "r+b") as file:  # empty and ours; never cut what might be another's
            file.write(json.dumps(answer).encode())
        return {}
