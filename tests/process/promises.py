# SPDX-License-Identifier: Apache-2.0
"""A case of the contract suite over a driver in a process of its own, which the case may kill."""

from __future__ import annotations

from txregistry.storage.suite import Environment, leftovers, run_case

from ..census import until


class Tidy:
    """A driver whose writers are ended with the case, also where it gave up half-way."""

    def __init__(self, driver):
        self._driver = driver
        self._writers = []

    def __getattr__(self, name):
        return getattr(self._driver, name)

    async def open_writer(self, *arguments, **more):
        writer = await self._driver.open_writer(*arguments, **more)
        self._writers.append(writer)
        return writer

    async def end(self):
        for writer in self._writers:
            await writer.abandon()


async def run_over_process(opened, case, *, reopen=None):
    """How a case ended, and what it left behind.

    Args:
        opened: the driver.
        reopen: in place of a kill -9 of its process.
    """

    async def kill():
        before = opened.links.greetings
        opened.child.kill()
        await until(lambda: opened.links.greetings > before, "the next run")
        return tidy

    tidy = Tidy(opened.driver)
    root = f"/contract/{case.name.replace(' ', '-')}"
    environment = Environment(tidy, root, reopen or kill)
    outcome = await run_case(case, environment)
    left = await leftovers(environment)
    await tidy.end()
    return outcome, left
