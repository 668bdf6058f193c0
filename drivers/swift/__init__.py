# SPDX-License-Identifier: Apache-2.0
"""The Swift driver: the storage tree of registry:2 in a container of OpenStack Swift.

``options`` is what an operator may set, ``opening`` makes connections and a store of them,
``connections`` lends them to threads, ``bucket`` is the bucket that ``txregistry_drivers.objects``
makes a store of, ``composing`` how one object is made of many, ``refusals`` what its errors mean.
Only this package imports swiftclient.
"""

from __future__ import annotations

from collections.abc import Mapping

from txregistry.driver import BadOptions, Store

try:
    import swiftclient as _sdk  # noqa: F401  # only whether it is there
except ImportError:
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True


def create(options: Mapping[str, object]) -> Store:
    """Open the store: see ``docs/drivers/swift.md`` for its options.

    Raises:
        BadOptions: an option is wrong, the login is, or swiftclient is not there.
        Unavailable: the server can't be reached.
    """
    if not _IS_INSTALLED:
        raise BadOptions(
            "the swift driver needs python-swiftclient: pip install 'txregistry[swift]'"
        )
    from txregistry_drivers.swift.opening import open_store  # noqa: PLC0415  # it imports swiftclient

    return open_store(options)


__all__ = ["create"]
