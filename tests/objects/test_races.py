# SPDX-License-Identifier: Apache-2.0
"""What happens between two requests of one call."""

from __future__ import annotations

from txregistry_drivers.objects import Capabilities, MemoryBucket, ObjectStore, Tuning

DATA = b"x" * 1000


def test_put_during_a_publication_is_what_is_published():
    """What was a record at the first look is content at the second; it is not taken for one."""
    bucket = MemoryBucket(Capabilities(smallest_piece=1))
    store = ObjectStore(bucket, tuning=Tuning(part_size=400))
    appender = store.append("/u/data", 0)
    appender.append(memoryview(DATA))
    appender.close()
    other = DATA[::-1].upper()

    def replace(method, key):
        if method == "open" and key == "u/data":
            bucket.fault = lambda method, key: None
            store.put("/u/data", other, if_absent=False, if_version=None)

    bucket.fault = replace
    store.publish("/u/data", "/blob", len(DATA))
    assert store.get("/blob").data == other
    store.close()
