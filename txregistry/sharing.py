# SPDX-License-Identifier: Apache-2.0
"""A registry that is served by several front ends: what the main process has to do with them.

The wiring of ``fronts``; ``front`` tells its life. What only one may own stays here, and what front
ends must know of each other goes through here:

    main -> front   reload, secret, health, session
    main ? front    numbers, stacks, in_use, change_over, ping
    front -> main   ready, failed, queued, session

``front_end`` is the other side.
"""

from __future__ import annotations

import signal
import uuid
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.task import LoopingCall

from txregistry.authentication import check_files
from txregistry.config import Configuration
from txregistry.errand import Errand
from txregistry.events import Growth, Notifications
from txregistry.fronts import Assignment, Entry, Fleet, Members, Outlet, share_of
from txregistry.health import Board
from txregistry.metrics import Numbers, Sample, Together
from txregistry.oci.names import UploadId

#: Seconds between two looks whether front ends are to be told of this host's health.
HEALTH_EVERY = 1.0

#: Seconds that a front end has for an answer, after which it is left out.
ANSWER_TIMEOUT = 2.0


class SharedFronts:
    """The front ends of one registry.

    Args:
        entries: the sockets that they serve.
        driver, socket: the storage driver's name, and where it listens.
        board: this host's health.
        when_up: called once all serve.
        when_failed: told a sentence if they will not.
        outlet: takes their lines; None: they write to where this process does.

    Attributes:
        registry, connections: none is served by this process.
    """

    registry = None
    connections = 0

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        *,
        entries: Sequence[tuple[int, str]],
        driver: str,
        socket: str,
        board: Board,
        notifications: Notifications | None,
        when_up: Callable[[], None],
        when_failed: Callable[[str], None],
        outlet: Outlet | None,
    ) -> None:
        self._configuration = configuration
        self._entries = tuple(Entry(*entry) for entry in entries)
        self._driver = driver
        self._socket = socket
        self._board = board
        self._notifications = notifications
        self._when_up = when_up
        self._secret: bytes | None = None
        self._instance = str(uuid.uuid4())
        self._together = Together()
        self._told_health: Members = {}
        self._telling = LoopingCall(self._tell_health)
        self._telling.clock = reactor
        self._fleet = Fleet(
            configuration.http.workers,
            reactor,
            assign=self._assign,
            hears=self._hears,
            when_up=self._up,
            when_failed=when_failed,
            when_lost=self._together.lost,
            outlet=outlet,
        )

    # -- its life

    def serve(self) -> None:
        """Start them."""
        self._told_health = self._health()
        self._fleet.start()
        self._telling.start(HEALTH_EVERY, now=False)

    def use_secret(self, secret: bytes) -> None:
        """Let them know the key of upload tokens."""
        self._secret = secret
        self._fleet.say("secret", secret=secret.hex())

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """Read the files of another configuration; what is returned lets them go on with it. They
        read the same files, which have been found good by then.

        Raises:
            StartError: one can't be used; nothing has changed.
        """
        check_files(configuration)
        return lambda: self._adopt(configuration)

    def _adopt(self, configuration: Configuration) -> None:
        self._configuration = configuration
        for post in self._fleet.posts:
            document = self._assign(post.number).written()
            post.say("reload", document=b64encode(document).decode("ascii"))

    async def drain(self, timeout: float) -> None:
        """End them; requests in progress have ``timeout`` seconds."""
        if self._telling.running:
            self._telling.stop()
        await self._fleet.drain(timeout)

    async def stop(self) -> None:
        """They have ended with what they needed."""

    def dump(self) -> None:
        """Have each of them write what it is at to its log."""
        self._fleet.signal(signal.SIGQUIT)

    def _assign(self, number: int) -> Assignment:
        return Assignment(
            number=number,
            configuration=share_of(self._configuration, len(self._fleet.posts), number),
            driver=self._driver,
            socket=self._socket,
            entries=self._entries,
            secret=self._secret,
            problems=self._told_health,
            instance=self._instance,
        )

    def _up(self) -> None:
        """All serve."""
        self._board.add_condition(
            "front ends", "registry", lambda: "" if self.front_ends else "no front end is there"
        )
        self._when_up()

    # -- what they say

    def _hears(self, number: int, word: str, members: Members) -> None:
        if word == "session":
            self._fleet.say("session", but=number, **members)
        elif word == "queued" and self._notifications is not None:
            self._notifications.grew(Growth(**members))

    # -- what they are told

    def _tell_health(self) -> None:
        health = self._health()
        if health != self._told_health:
            self._told_health = health
            self._fleet.say("health", **health)

    def _health(self) -> Members:
        """What fails here, but for what is about this process alone."""
        return {
            "problems": [
                [problem.name, problem.kind, problem.text]
                for problem in self._board.problems().values()
                if problem.kind != "registry"
            ],
            "has_failing_check": self._board.has_failing_check(),
        }

    # -- what they are asked

    @property
    def front_ends(self) -> int:
        """How many serve now."""
        return sum(post.is_ready for post in self._fleet.posts)

    @property
    def deaths(self) -> int:
        """How many have ended without being asked to."""
        return sum(post.deaths for post in self._fleet.posts)

    @property
    def answered(self) -> int:
        """Operations that the driver answered to them, as far as they have told."""
        return sum(post.pong.get("answered", 0) for post in self._fleet.posts)

    async def change_over(self, limit: float) -> None:
        """Have them go over to the process that has taken the driver's place."""
        await self._fleet.ask("change_over", limit + ANSWER_TIMEOUT, limit=limit)

    def errands(self) -> Sequence[Errand]:
        """This process answers no requests."""
        return ()

    def samples(self) -> Sequence[Sample]:
        """This process is not busy with them."""
        return ()

    async def numbers(self) -> Sequence[Numbers]:
        """What they have counted; of one that does not answer, what it told before."""
        answers = await self._fleet.ask("numbers", ANSWER_TIMEOUT)
        for number, answer in answers.items():
            self._together.took(number, Numbers.from_json(answer["numbers"]))
        return self._together.all

    async def stacks(self) -> str:
        """What all of their threads and requests are at."""
        answers = await self._fleet.ask("stacks", ANSWER_TIMEOUT)
        return "".join(
            f"\nfront end {number}\n{answer['text']}" for number, answer in sorted(answers.items())
        )

    async def is_in_use(self, upload_id: UploadId) -> bool:
        """Say whether any of them may be at work on a session."""
        answers = await self._fleet.ask("in_use", ANSWER_TIMEOUT, session=upload_id.text)
        is_all = len(answers) == len(self._fleet.posts)
        return not is_all or any(answer["is_in_use"] for answer in answers.values())
