# SPDX-License-Identifier: Apache-2.0
"""What drivers for object stores have in common: a store over a bucket, whoever runs the bucket.

A driver for one vendor writes a ``Bucket`` and the reading of its options; ``ObjectStore`` makes a
store of it. ``bucket`` is what a vendor has to offer, ``store`` the methods of the contract,
``record`` and ``keys`` how things lie in the bucket, ``staging``, ``appending``, ``buffering`` and
``flushing`` the way of an upload, ``notes`` compositions that leave nothing behind, ``conditions``
who may change what, ``listing``, ``reading`` and ``removal`` the rest. Of use to vendors' buckets are
``stretches``, objects that are read piece by piece, ``side_by_side``, calls in many threads, and
``refusals``, what a server's answers mean. ``memory`` is a bucket to try all of that with.
"""

from txregistry_drivers.objects.bucket import (
    Bucket,
    Capabilities,
    KeyPage,
    ListedObject,
    ObjectHead,
    OpenObject,
    Piece,
)
from txregistry_drivers.objects.memory import MemoryBucket
from txregistry_drivers.objects.store import ObjectStore, Tuning

__all__ = [
    "Bucket",
    "Capabilities",
    "KeyPage",
    "ListedObject",
    "MemoryBucket",
    "ObjectHead",
    "ObjectStore",
    "OpenObject",
    "Piece",
    "Tuning",
]
