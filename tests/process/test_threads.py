# SPDX-License-Identifier: Apache-2.0
"""A driver's threads: as many as its store says, and some of them for looks alone."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from txregistry.process.opening import OpenDriver
from txregistry.process.spec import DriverSpec

from ..census import until
from .programs import driver

#: Each put and each stat of "/hold" waits until a file is there, and notes that it has begun.
HOLDING = """
import os, time
from txregistry.driver import MemoryStore, main
class Holding(MemoryStore):
    threads = THREADS
    needs_network = NEEDS_NETWORK
    def hold(self, kind):
        open(f"{directory}/{kind}-{os.urandom(8).hex()}", "w").close()
        while not os.path.exists(f"{directory}/go"):
            time.sleep(0.01)
    def put(self, path, data, **more):
        self.hold("put")
        return super().put(path, data, **more)
    def stat(self, path):
        if path == "/hold":
            self.hold("look")
        return super().stat("/")
def create(options):
    global directory
    directory = options["directory"]
    return Holding()
main(create)
"""


class ThreadTests:
    @pytest.mark.parametrize(
        ("threads", "needs_network", "writes", "looks"), [(8, True, 6, 2), (40, False, 32, 8)]
    )
    @pytest_twisted.ensureDeferred
    async def test_looks_have_threads_of_their_own_and_all_are_bounded(
        self, tmp_path, threads, needs_network, writes, looks
    ):
        """However many writes hang on the disk, a small look is answered; and no more calls run at
        once than the store has threads.
        """
        program = HOLDING.replace("THREADS", str(threads))
        program = program.replace("NEEDS_NETWORK", str(needs_network))
        spec = DriverSpec(
            "tested",
            command=driver(program),
            options={"directory": str(tmp_path)},
            isolation="off",  # else it could not write there
        )
        opened = OpenDriver(spec, reactor)
        try:
            await opened.hello()

            def begun(kind):
                return len(list(tmp_path.glob(f"{kind}-*")))

            asked = [
                Deferred.fromCoroutine(opened.driver.put(f"/{number}", b"x"))
                for number in range(writes + 5)
            ]
            await until(lambda: begun("put") == writes)
            assert (await opened.driver.stat("/")).is_directory
            asked += [Deferred.fromCoroutine(opened.driver.stat("/hold")) for _ in range(looks + 5)]
            await until(lambda: begun("look") == looks)
            pong = opened.links.last_ping
            await until(lambda: opened.links.last_ping is not pong)
            assert (begun("put"), begun("look")) == (writes, looks)
            (tmp_path / "go").touch()
            for one in asked:
                await one
        finally:
            await opened.stop()
