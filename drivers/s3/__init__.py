# SPDX-License-Identifier: Apache-2.0
"""The S3 driver: the storage tree of registry:3 in a bucket of S3, or of what speaks like it.

``options`` is what an operator may set, ``client`` makes the client of them, ``bucket`` is the
bucket that ``txregistry_drivers.objects`` makes a store of, ``composing`` its multipart uploads,
``reading`` its open objects, ``refusals`` what its errors mean, ``probing`` what a server is found to
do. Only this package imports boto3.
"""

from __future__ import annotations

from collections.abc import Mapping

from txregistry.driver import BadOptions, Store

try:
    import boto3 as _boto3  # noqa: F401  # only whether it is there
except ImportError:
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True


def create(options: Mapping[str, object]) -> Store:
    """Open the store: see ``docs/drivers/s3.md`` for its options.

    Raises:
        BadOptions: an option is wrong, the bucket is not there, or boto3 is not.
        Unavailable: the bucket can't be reached.
    """
    if not _IS_INSTALLED:
        raise BadOptions("the s3 driver needs boto3: pip install 'txregistry[s3]'")
    from txregistry_drivers.s3.opening import open_store  # noqa: PLC0415  # it imports boto3

    return open_store(options)


__all__ = ["create"]
