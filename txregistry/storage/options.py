# SPDX-License-Identifier: Apache-2.0
"""Reading a driver's options: what each driver would otherwise write again.

Room: storage. Must not know any driver. Options come from a configuration file or its environment
overrides, so a number or a name may be text. A refusal is one sentence for the operator.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from txregistry.storage.errors import BadOptions


def check_option_names(options: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse options that the driver does not have.

    Raises:
        BadOptions: naming the nearest known option.
    """
    for name in options:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            remedy = (
                f"did you mean {near[0]}?"
                if near
                else f"known are: {', '.join(sorted(known)) or 'none'}"
            )
            raise BadOptions(f"there is no option {name!r}; {remedy}")


def text_option(options: Mapping[str, object], name: str, default: str) -> str:
    """A non-empty text.

    Raises:
        BadOptions: it is something else.
    """
    value = options.get(name, default)
    if not isinstance(value, str) or not value:
        raise BadOptions(f"{name} is to be a text, not {value!r}")
    return value


def choice_option(
    options: Mapping[str, object], name: str, choices: Collection[str], default: str
) -> str:
    """One of a few words.

    Raises:
        BadOptions: it is another.
    """
    value = text_option(options, name, default)
    if value not in choices:
        near = get_close_matches(value, choices, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadOptions(f"{name} is one of {', '.join(choices)}, not {value!r}{hint}")
    return value


def whole_option(options: Mapping[str, object], name: str, default: int, *, least: int) -> int:
    """A whole number, or its decimal digits as text.

    Raises:
        BadOptions: it is none, or less than ``least``.
    """
    value = options.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadOptions(f"{name} is to be a whole number of at least {least}, not {value!r}")
    return value


def seconds_option(
    options: Mapping[str, object], name: str, default: float, *, least: float = 0.0
) -> float:
    """A number of seconds.

    Raises:
        BadOptions: it is none, or less than ``least``.
    """
    value = options.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= least:
        raise BadOptions(f"{name} is to be a duration of at least {least:g} s, not {value!r}")
    return float(value)


def texts_option(options: Mapping[str, object], name: str) -> tuple[str, ...]:
    """A list of texts, or one text with commas between them; none by default.

    Raises:
        BadOptions: it is something else.
    """
    value = options.get(name) or ()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise BadOptions(f"{name} is to be a list of texts, not {value!r}")
    return tuple(part.strip() for part in parts if part.strip())


def flag_option(options: Mapping[str, object], name: str, default: bool) -> bool:
    """Yes or no, also as the text that an environment variable gives.

    Raises:
        BadOptions: it is something else.
    """
    value = options.get(name, default)
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    if not isinstance(value, bool):
        raise BadOptions(f"{name} is true or false, not {value!r}")
    return value
