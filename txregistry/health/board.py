# SPDX-License-Identifier: Apache-2.0
"""What is known of this host's health.

Room: health. A *condition* is asked whenever somebody looks: has the registry started, is the
driver there. A *check* runs by itself and is shown as it was last found. Several may have one name;
the first that complains is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from attrs import frozen

from txregistry.health.checks import Check


@frozen
class Problem:
    """Something that fails.

    Attributes:
        name: of the condition or check, for those who run the registry.
        kind: ``registry``, ``storage``, ``file``, ``http`` or ``tcp``: all that strangers are told.
        text: what is wrong, for those who run the registry.
    """

    name: str
    kind: str
    text: str


class Board:
    """All conditions and checks of one host."""

    def __init__(self) -> None:
        self._conditions: list[tuple[str, str, Callable[[], str]]] = []
        self._checks: list[Check] = []
        self._told: tuple[Problem, ...] = ()
        self._is_told_of_check = False

    def add_condition(self, name: str, kind: str, problem: Callable[[], str]) -> None:
        """Ask ``problem`` whenever somebody looks; it says what is wrong, empty for nothing."""
        self._conditions.append((name, kind, problem))

    def add_check(self, check: Check) -> None:
        """Show what a check finds; :meth:`start` starts it."""
        self._checks.append(check)

    def tell(self, problems: Iterable[Problem], *, has_failing_check: bool) -> None:
        """Show what another process has found, in place of what it had found before."""
        self._told = tuple(problems)
        self._is_told_of_check = has_failing_check

    def start(self) -> None:
        """Run every check, now and from now on."""
        for check in self._checks:
            check.start()

    def stop(self) -> None:
        """End all checks; repeatable."""
        for check in self._checks:
            check.stop()

    def problems(self) -> Mapping[str, Problem]:
        """What fails now, by its name; empty if this host may be sent requests."""
        found: dict[str, Problem] = {}
        for problem in self._complaints():
            found.setdefault(problem.name, problem)
        return found

    def has_failing_check(self) -> bool:
        """Say whether a check fails, whatever the conditions are."""
        return self._is_told_of_check or any(check.problem for check in self._checks)

    def names(self) -> Mapping[str, str]:
        """Name -> kind of everything that is looked at."""
        named = {name: kind for name, kind, _ in self._conditions}
        return named | {check.name: check.kind for check in self._checks}

    def _complaints(self) -> Iterator[Problem]:
        for name, kind, ask in self._conditions:
            text = ask()
            if text:
                yield Problem(name, kind, text)
        for check in self._checks:
            if check.problem:
                yield Problem(check.name, check.kind, check.problem)
        yield from self._told
