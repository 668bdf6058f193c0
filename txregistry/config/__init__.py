# SPDX-License-Identifier: Apache-2.0
"""The configuration: registry:3's YAML and environment variables, strictly read into one frozen
tree.

Room: config. Must not know Twisted, nor start or open anything but the file that it reads.

``document``     YAML text -> a tree of nodes that know where they stand
``environment``  ``REGISTRY_*`` variables -> the same tree, changed
``settings``     the sections and keys that exist, one row each: type, default
``kinds``        what a value may be;  ``rows`` how a class says its keys
``sections``     tree -> settings; refuses what it doesn't know, with the nearest name
``storage``      the section that is shaped otherwise: one driver beside named sections
``foreign``      keys of registry:3 that have nothing behind them here, each with what to do instead
``judging``      what keys must be together
``loading``      all of it in order
``showing``      what holds in the end, as a file;  ``schema`` the rows as a JSON Schema
"""

from txregistry.config.addresses import Address, TcpAddress, UnixAddress
from txregistry.config.auth_settings import Auth
from txregistry.config.errors import ConfigError
from txregistry.config.health_settings import Health
from txregistry.config.loading import installed_drivers, load, load_text
from txregistry.config.notification_settings import NotificationEndpoint
from txregistry.config.schema import make_schema
from txregistry.config.settings import (
    Configuration,
    ExternalDriver,
    Http,
    Limits,
    Log,
    NamedDriver,
    Storage,
    UploadPurging,
)
from txregistry.config.showing import show

__all__ = [
    "Address",
    "Auth",
    "ConfigError",
    "Configuration",
    "ExternalDriver",
    "Health",
    "Http",
    "Limits",
    "Log",
    "NamedDriver",
    "NotificationEndpoint",
    "Storage",
    "TcpAddress",
    "UnixAddress",
    "UploadPurging",
    "installed_drivers",
    "load",
    "load_text",
    "make_schema",
    "show",
]
