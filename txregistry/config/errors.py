# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a configuration, as one sentence: where, what, and the way out.

Room: config.
"""

from __future__ import annotations

from attrs import frozen


class ConfigError(Exception):
    """The configuration can't be used; ``str`` of it is one sentence for the operator, free of
    secrets.
    """


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
