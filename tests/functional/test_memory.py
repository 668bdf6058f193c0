# SPDX-License-Identifier: Apache-2.0
"""Memory does not grow with the size of a blob."""

from __future__ import annotations

import hashlib
import http.client

from .client import Client
from .servers import Registry, peak_resident
from .test_interruptions import MIB, Content

GIB = 1024 * MIB
LIMIT = 120 * MIB


class MemoryTests:
    def test_four_gibibytes_go_in_and_out_in_little_memory(self, tmp_path, record_property):
        """Each process stays under 120 MiB while a blob of 4 GiB is pushed and pulled."""
        content = Content(4 * GIB)
        digest = content.digest()
        with Registry(tmp_path) as registry:
            client = Client(registry)
            location = client.start_upload("huge/app")
            connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=300)
            connection.putrequest("PUT", f"{location}&digest={digest}")
            connection.putheader("Content-Length", str(content.size))
            connection.endheaders()
            for start in range(0, content.size, MIB):
                connection.send(content.chunk(start, start + MIB))
            response = connection.getresponse()
            assert response.status == 201, response.read()
            response.read()
            connection.request("GET", f"/v2/huge/app/blobs/{digest}")
            response = connection.getresponse()
            running = hashlib.sha256()
            buffer = bytearray(MIB)
            while count := response.readinto(buffer):
                running.update(memoryview(buffer)[:count])
            connection.close()
            assert f"sha256:{running.hexdigest()}" == digest
            peaks = [peak_resident(pid) for pid in registry.tree()]
            record_property("peaks", peaks)
            print("peak resident MiB:", [peak // MIB for peak in peaks])
            assert len(peaks) >= 2
            assert max(peaks) < LIMIT
