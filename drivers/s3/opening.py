# SPDX-License-Identifier: Apache-2.0
"""From options to a store: make a client, see what the server does, put them together.

Driver: s3.
"""

from __future__ import annotations

from collections.abc import Mapping

from txregistry.driver import BadOptions, Denied, Store
from txregistry_drivers.objects import Capabilities, ObjectStore, Tuning
from txregistry_drivers.objects.keys import Keys
from txregistry_drivers.s3.bucket import S3Bucket, created_with
from txregistry_drivers.s3.client import make_client, make_session, say
from txregistry_drivers.s3.options import read_options
from txregistry_drivers.s3.probing import Probe, probe_key


def open_store(options: Mapping[str, object]) -> Store:
    """As :func:`txregistry_drivers.s3.create`."""
    chosen = read_options(options)
    session = make_session(chosen)
    checking = make_client(chosen, session, has_checksums=True)
    plain = make_client(chosen, session, has_checksums=False)
    key = probe_key(Keys(chosen.rootdirectory).root)
    probe = Probe(checking, plain, chosen.bucket, chosen.region, key, created_with(chosen, key))
    try:
        found = probe.run(needs_checksums=chosen.checksum == "required")
    except Denied as err:
        raise BadOptions(
            f"bucket {chosen.bucket!r} can't be used with these credentials: {err.message};"
            " allow what the documentation lists, or correct the keys"
        ) from err
    if not found.has_checksums:
        checking.close()
    client = checking if found.has_checksums else plain
    say(found.sentence())
    capabilities = Capabilities(
        if_absent=found.if_absent,
        if_version=found.if_version,
        delete_if_version=found.delete_if_version,
        good_piece=chosen.multipartcopychunksize,
    )
    tuning = Tuning(
        part_size=chosen.chunksize,
        flush_after=float(chosen.flushafter),
        memory=chosen.maxmemory,
        copy_threshold=chosen.multipartcopythresholdsize,
    )
    return ObjectStore(S3Bucket(client, plain, chosen, capabilities), chosen.rootdirectory, tuning)
