# SPDX-License-Identifier: Apache-2.0
"""Parses manifests: small ones at once, large ones in a worker process, so that no document holds
up the reactor.

Room: process. A hostile document of 4 MiB costs a quarter of a second and a hundred MiB; at most
two are parsed at a time and the memory is another process's.
"""

from __future__ import annotations

import json
import os

from ampoule import main, pool
from twisted.internet.error import ProcessDone, ProcessTerminated

from txregistry.ipc.work import ParseManifest, Worker
from txregistry.oci.errors import Code, OciError
from txregistry.oci.manifests import Manifest, parse_manifest
from txregistry.storage.blocking import shielded

#: Largest document that is parsed on the reactor, in bytes: well under a millisecond.
INLINE_LIMIT = 32 * 1024

#: Worker processes at most; seconds that one document may take, and that an idle worker lives.
WORKERS = 2
TIMEOUT = 20.0
IDLE = 60

#: A worker says on standard error that it came and went, and what it says is logged as an error.
_QUIET_BOOTSTRAP = main.BOOTSTRAP.replace("LogLevel.info", "LogLevel.warn")


class ManifestParser:
    """``parse`` for the registry; call ``stop`` at the end.

    Attributes:
        refused: documents that a worker died of.
    """

    def __init__(self) -> None:
        starter = main.ProcessStarter(
            _QUIET_BOOTSTRAP, childReactor="epoll", packages=("txregistry",)
        )
        self._pool = pool.ProcessPool(
            Worker,
            min=0,
            max=WORKERS,
            maxIdle=IDLE,
            recycleAfter=500,
            starter=starter,
            timeout=TIMEOUT,
        )
        self._is_started = False
        #: Documents that are with a worker, or wait for one.
        self._asked = 0
        self.refused = 0

    @property
    def working(self) -> int:
        """Workers that are at a document."""
        return min(self._asked, WORKERS)

    @property
    def waiting(self) -> int:
        """Documents that wait for a worker."""
        return self._asked - self.working

    async def parse(self, data: bytes, content_type: str | None) -> Manifest:
        """Parse one document.

        Raises:
            OciError: what is wrong with it; UNAVAILABLE if the worker died of it.
        """
        if len(data) <= INLINE_LIMIT:
            return parse_manifest(data, content_type)
        if not self._is_started:
            self._is_started = True
            await self._pool.start()
        # A caller that goes away must not close the files: the worker would open whatever has their
        # numbers by then.
        answer = await shielded(self._ask(data, content_type))
        if "refusal" in answer:
            raise OciError.from_plain(answer["refusal"])
        return Manifest.from_plain(answer["manifest"])

    async def _ask(self, data: bytes, content_type: str | None) -> dict[str, dict[str, object]]:
        document, result = os.memfd_create("manifest"), os.memfd_create("parsed")
        self._asked += 1
        try:
            os.write(document, data)
            await self._pool.doWork(
                ParseManifest,
                document=_path(document),
                content_type=content_type,
                result=_path(result),
            )
            answer: dict[str, dict[str, object]] = json.loads(
                os.pread(result, os.fstat(result).st_size, 0)
            )
            return answer
        except (ProcessTerminated, ProcessDone) as error:
            self.refused += 1
            raise OciError(
                Code.UNAVAILABLE, "the manifest could not be parsed in time", retry_after=5
            ) from error
        finally:
            self._asked -= 1
            os.close(document)
            os.close(result)

    async def stop(self) -> None:
        """End the workers."""
        if self._is_started:
            await self._pool.stop()


def _path(descriptor: int) -> str:
    return f"/proc/{os.getpid()}/fd/{descriptor}"
