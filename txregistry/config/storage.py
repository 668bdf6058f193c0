# SPDX-License-Identifier: Apache-2.0
"""The ``storage`` section: exactly one driver, by name or external, beside what holds for all
drivers.

Room: config. A driver's own options are the driver's affair, except those of the drivers that come
with us.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

import attrs

from txregistry.config.document import Branch, Node, Scalar, is_null, plain
from txregistry.config.errors import ConfigError, Mistakes, Origin, refusal
from txregistry.config.foreign import FOREIGN_DRIVERS
from txregistry.config.rows import key_name, rows
from txregistry.config.sections import entries_of, nearest, read_section
from txregistry.config.settings import (
    SHIPPED_DRIVERS,
    ExternalDriver,
    NamedDriver,
    Storage,
)

#: Keys of the section that are not drivers.
RESERVED = frozenset(rows(Storage))


def expand_bare(node: Node) -> Node:
    """``storage: inmemory`` as ``storage: {inmemory: }``; anything else as it is."""
    if isinstance(node, Scalar) and not is_null(node):
        return Branch({node.text: Scalar(None, "", node.origin)}, node.origin)
    return node


def replace_driver(section: Node | None, name: Node) -> Node:
    """Put the bare name of a driver in the place of the drivers of a section."""
    kept = {key: child for key, child in entries_of(section, "storage").items() if key in RESERVED}
    return Branch({**kept, **entries_of(expand_bare(name), "storage")}, name.origin)


def read_storage(node: Node, *, installed: Collection[str], directory: str) -> Storage:
    """Make the section.

    Args:
        installed: names of the drivers that can be started.
        directory: what a relative root directory is relative to.

    Raises:
        ConfigError: no driver or several are named, the driver is not installed, or a key is wrong.
    """
    entries = entries_of(node, "storage")
    drivers = [name for name in entries if name not in RESERVED]
    rest = Branch({key: child for key, child in entries.items() if key in RESERVED}, node.origin)
    mistakes = Mistakes()
    driver: NamedDriver | ExternalDriver = NamedDriver("")
    for name in drivers:
        with mistakes.gathered():
            _check_name(name, entries[name].origin, installed)
            driver = _read_driver(name, entries[name], directory)
    storage = Storage(driver)
    with mistakes.gathered():
        storage = read_section(Storage, rest, "storage", driver=driver)
    mistakes.tell()
    if len(drivers) != 1:
        raise _wrong_number(node, drivers)
    return storage


def _read_driver(name: str, node: Node, directory: str) -> NamedDriver | ExternalDriver:
    if name == "external":
        return _read_external(node)
    return NamedDriver(name, _read_options(name, node, directory))


def _check_name(name: str, origin: Origin, installed: Collection[str]) -> None:
    if name in installed or name == "external":
        return
    if name in FOREIGN_DRIVERS:
        raise refusal(
            origin,
            f"storage.{name}: there is no {name} driver here",
            "use s3 if the store speaks that, too, or storage.external with a driver program of your own",
        )
    near = nearest(
        f"storage.{name}", [f"storage.{known}" for known in (*installed, "external", *RESERVED)]
    )
    remedy = (
        f"did you mean {near}?"
        if near
        else "install the driver's package, or name its program in storage.external"
    )
    raise refusal(origin, f"storage.{name} is neither an installed driver nor a known key", remedy)


def _wrong_number(node: Node, drivers: list[str]) -> ConfigError:
    if not drivers:
        return refusal(
            node.origin,
            "storage names no driver",
            "add one, for example storage.filesystem.rootdirectory: /var/lib/registry",
        )
    return refusal(
        node.origin,
        f"storage names {len(drivers)} drivers, {' and '.join(drivers)}",
        "keep one; the variable REGISTRY_STORAGE=<driver> takes the place of those in the file",
    )


def _read_options(name: str, node: Node, directory: str) -> dict[str, Any]:
    shape = SHIPPED_DRIVERS.get(name)
    if shape is None:
        entries_of(node, f"storage.{name}")
        return plain(node) or {}
    values = read_section(shape, node, f"storage.{name}")
    options = {key_name(attribute): value for attribute, value in attrs.asdict(values).items()}
    if "rootdirectory" in options:
        options["rootdirectory"] = os.path.normpath(
            os.path.join(directory, options["rootdirectory"])
        )
    return options


def _read_external(node: Node) -> ExternalDriver:
    driver = read_section(ExternalDriver, node, "storage.external")
    if bool(driver.command) == bool(driver.socket):
        found = (
            "both a command and a socket" if driver.command else "neither a command nor a socket"
        )
        raise refusal(
            node.origin,
            f"storage.external names {found}",
            "give command: [program, argument] to have the driver started, or socket: /path to attach to one",
        )
    if driver.socket and driver.options:
        raise refusal(
            node.origin,
            "storage.external.options can't be handed to a driver on a socket",
            "give that driver its options where it is started",
        )
    return driver
