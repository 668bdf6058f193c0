# SPDX-License-Identifier: Apache-2.0
"""``txregistry check`` and ``txregistry uploads``: what ``admin`` does, with the configured driver.

Must not know the command line. Reports go to one stream, progress and refusals to another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine
from typing import Any, TextIO

import attrs
from attrs import frozen
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from txregistry.admin.check import Finding, Options, Progress, Summary, check
from txregistry.admin.check.display import Display
from txregistry.admin.check.findings import KINDS
from txregistry.admin.check.report import JsonReport, TextReport, exit_status
from txregistry.admin.uploads import JsonUploads, TextUploads, list_uploads
from txregistry.config import Configuration, NamedDriver, Storage
from txregistry.oneshot import run_with_driver
from txregistry.process.opening import OpenDriver
from txregistry.process.parsing import ManifestParser
from txregistry.process.spec import StartError
from txregistry.registry import purge_uploads
from txregistry.serving import refuse
from txregistry.storage.errors import StorageError
from txregistry.translation import registry_options

__all__ = [
    "KINDS",
    "LEAST_AGE",
    "UNFINISHED",
    "CheckWishes",
    "run_check",
    "run_uploads_list",
    "run_uploads_purge",
]

#: Drivers that can have their storage alone, if they are told to by an option of this name and
#: value.
LOCKABLE = {"filesystem": ("lock", "exclusive")}

#: Seconds of idleness below which an upload counts as one in use. Arbitrary: a client that computes
#: between two requests, or waits for its link, is back before.
LEAST_AGE = 600.0

#: The status of a check that could not be finished.
UNFINISHED = 2


@frozen(kw_only=True)
class CheckWishes:
    """What the command line asks of a check.

    Attributes:
        progress: tell how far it is, also where there is no terminal.
        ignored: names of classes.
    """

    read_data: bool = False
    sparse: bool = False
    strict: bool = False
    repair: bool = False
    is_json: bool = False
    progress: bool = False
    ignored: frozenset[str] = frozenset()


def run_check(configuration: Configuration, wishes: CheckWishes, out: TextIO, err: TextIO) -> int:
    """Check the configured storage, or repair it.

    Returns:
        0: clean, 1: problems found, 2: it could not be finished.
    """
    purging = configuration.upload_purging
    options = Options(
        read_data=wishes.read_data,
        allow_sparse=wishes.sparse or registry_options(configuration).allow_sparse_indexes,
        upload_age=purging.age + purging.interval,
        ignored=frozenset(KINDS[name] for name in wishes.ignored),
    )
    teller = _Teller(wishes, out, err)

    async def work(opened: OpenDriver, reactor: Any) -> Summary:
        parser = ManifestParser()
        teller.report.begin()
        try:
            return await check(
                opened.driver,
                teller,
                parse=parser.parse,
                compute=lambda heavy: deferToThreadPool(reactor, reactor.getThreadPool(), heavy),
                now=reactor.seconds,
                pause=lambda seconds: deferLater(reactor, seconds),
                options=options,
                repair=wishes.repair,
            )
        finally:
            await parser.stop()

    try:
        storage = _present(configuration.storage)
        summary = run_with_driver(_alone(storage) if wishes.repair else storage, work)
    except StartError as error:
        refuse(str(error))
        return UNFINISHED
    teller.display.clear()
    if summary is None:
        refuse("the check was interrupted")
        return UNFINISHED
    teller.report.end(summary, strict=wishes.strict)
    if summary.unfinished is not None:
        refuse(f"the check could not be finished: {summary.unfinished}")
    return exit_status(summary, strict=wishes.strict)


def run_uploads_list(configuration: Configuration, out: TextIO, *, is_json: bool = False) -> int:
    """List all upload sessions; returns the status."""
    report = _uploads(is_json, out)

    async def work(opened: OpenDriver, reactor: Any) -> int:
        report.begin()
        await list_uploads(opened.driver, report.add)
        report.end({})
        return 0

    return _status(configuration.storage, work)


def run_uploads_purge(
    configuration: Configuration,
    age: float,
    out: TextIO,
    *,
    dry_run: bool = False,
    is_json: bool = False,
) -> int:
    """Remove the sessions that are idle for more than ``age`` seconds, and list them; returns the
    status.
    """
    report = _uploads(is_json, out)

    async def work(opened: OpenDriver, reactor: Any) -> int:
        now = reactor.seconds()
        report.begin()
        await list_uploads(
            opened.driver,
            report.add,
            lambda session: session.last_seen is not None and session.last_seen < now - age,
        )
        purged = await purge_uploads(opened.driver, now, age, dry_run)
        report.end({**attrs.asdict(purged), "dry_run": dry_run})
        return 1 if purged.failed else 0

    return _status(configuration.storage, work)


def _status(storage: Storage, work: Callable[[OpenDriver, Any], Coroutine[Any, Any, int]]) -> int:
    try:
        status = run_with_driver(_present(storage), work)
    except StorageError as error:
        return refuse(f"storage failed: {error}")
    return 1 if status is None else status


def _uploads(is_json: bool, out: TextIO) -> JsonUploads | TextUploads:
    return JsonUploads(_lines(out)) if is_json else TextUploads(_lines(out))


def _present(storage: Storage) -> Storage:
    """Return the storage, if it does not name a directory that would only be made now.

    Raises:
        StartError: it does.
    """
    root = storage.driver.options.get("rootdirectory")
    if isinstance(root, str) and root and not os.path.isdir(root):
        raise StartError(
            f"there is no directory {root}; name the registry's configuration with --config"
        )
    return storage


def _alone(storage: Storage) -> Storage:
    """Return the storage, to be had alone if its driver can do that."""
    driver = storage.driver
    if not isinstance(driver, NamedDriver) or driver.name not in LOCKABLE:
        return storage
    key, value = LOCKABLE[driver.name]
    return attrs.evolve(
        storage, driver=attrs.evolve(driver, options={**driver.options, key: value})
    )


def _lines(stream: TextIO) -> Callable[[str], None]:
    return lambda line: print(line, file=stream, flush=True)


class _Teller:
    """Is told of a check; the bar makes way for what is found."""

    def __init__(self, wishes: CheckWishes, out: TextIO, err: TextIO) -> None:
        self.report = JsonReport(_lines(out)) if wishes.is_json else TextReport(_lines(out))

        def write(text: str) -> None:
            err.write(text)
            err.flush()

        self.display = Display(
            write, time.monotonic, is_terminal=err.isatty(), is_wanted=wishes.progress
        )

    def found(self, finding: Finding, repaired_to: str | None) -> None:
        self.display.clear()
        self.report.found(finding, repaired_to)

    def progressed(self, progress: Progress) -> None:
        self.display.show(progress)
