# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a configuration, one sentence for each mistake: where, what, and the way out.

Room: config.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

#: Most mistakes that are told of at once. Arbitrary: a file of something else has one in each line.
MOST = 20


class ConfigError(Exception):
    """The configuration can't be used; ``str`` of it is for the operator, free of secrets, a line
    for each mistake.

    Attributes:
        sentences: one for each mistake.
    """

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


class Mistakes:
    """Mistakes that are gathered, so that all of them are told at once."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Go on behind a part of the work that found mistakes.

        Raises:
            ConfigError: there are enough.
        """
        try:
            yield
        except ConfigError as error:
            self.add(error)

    def add(self, error: ConfigError) -> None:
        """Gather one.

        Raises:
            ConfigError: there are enough.
        """
        self._sentences += error.sentences
        if len(self._sentences) >= MOST:
            self.tell()

    def tell(self) -> None:
        """Do nothing if there were none.

        Raises:
            ConfigError: all of them.
        """
        if self._sentences:
            raise ConfigError(*self._sentences[:MOST]) from None


@frozen
class Origin:
    """Where a value was written: a file and its line (1-based), or a variable or option without
    lines.
    """

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}, line {self.line}"


def refusal(origin: Origin, problem: str, remedy: str) -> ConfigError:
    """The sentence in its only form; ``problem`` begins with the key's full path."""
    return ConfigError(f"{origin}: {problem}; {remedy}")
