# SPDX-License-Identifier: Apache-2.0
"""The GCS driver: the storage tree of registry:3 in a bucket of Google Cloud Storage.

``options`` is what an operator may set, ``opening`` makes a client and a store of them, ``bucket``
is the bucket that ``txregistry_drivers.objects`` makes a store of, ``composing`` how one object is
made of many, ``reading`` its open objects, ``refusals`` what its errors mean. Only this package
imports google.cloud.
"""

from __future__ import annotations

from collections.abc import Mapping

from txregistry.driver import BadOptions, Store

try:
    import google.cloud.storage as _sdk  # noqa: F401  # only whether it is there
except ImportError:
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True


def create(options: Mapping[str, object]) -> Store:
    """Open the store: see ``docs/drivers/gcs.md`` for its options.

    Raises:
        BadOptions: an option is wrong, the bucket is not there, or Google's library is not.
        Unavailable: the bucket can't be reached.
    """
    if not _IS_INSTALLED:
        raise BadOptions("the gcs driver needs google-cloud-storage: pip install 'txregistry[gcs]'")
    from txregistry_drivers.gcs.opening import open_store  # noqa: PLC0415  # it imports the library

    return open_store(options)


__all__ = ["create"]
