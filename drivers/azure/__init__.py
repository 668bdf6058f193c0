# SPDX-License-Identifier: Apache-2.0
"""The Azure driver: the storage tree of registry:3 in a container of Azure Blob Storage.

``options`` is what an operator may set, ``opening`` makes a client and a store of them, ``signing``
URLs at which others may read, ``bucket`` is the bucket that ``txregistry_drivers.objects`` makes a
store of, ``listing`` its pages, ``composing`` how one blob is made of many, ``reading`` its open
blobs, ``refusals`` what errors mean. Only this package imports azure.
"""

from __future__ import annotations

from collections.abc import Mapping

from txregistry.driver import BadOptions, Store

try:
    import azure.identity as _identity  # noqa: F401  # only whether it is there
    import azure.storage.blob as _sdk  # noqa: F401
except ImportError:
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True


def create(options: Mapping[str, object]) -> Store:
    """Open the store: see ``docs/drivers/azure.md`` for its options.

    Raises:
        BadOptions: an option is wrong, the container is not there, or Microsoft's library is not.
        Unavailable: the service can't be reached.
    """
    if not _IS_INSTALLED:
        raise BadOptions(
            "the azure driver needs azure-storage-blob and azure-identity:"
            " pip install 'txregistry[azure]'"
        )
    from txregistry_drivers.azure.opening import open_store  # noqa: PLC0415  # it imports the library

    return open_store(options)


__all__ = ["create"]
