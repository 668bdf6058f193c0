# SPDX-License-Identifier: Apache-2.0
"""Emulators of cloud storage, as processes."""

from __future__ import annotations

import sys

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from ..functional.servers import Server


class Gcs(Server):
    """gcp-storage-emulator: knows no conditions, and pages nothing."""

    driver = "gcs"
    check = "/storage/v1/b?project=x"

    def __init__(self, directory):
        super().__init__(directory, [sys.executable])
        self.command += ["-m", "gcp_storage_emulator", "start", "--in-memory", "--quiet"]
        self.command += ["--host", "127.0.0.1", "--port", str(self.port)]

    def options(self, bucket, **more):
        """Of a driver; the bucket is there."""
        self.client().create_bucket(bucket)
        return {"bucket": bucket, "endpoint": self.url, **more}

    def client(self):
        """Google's own."""
        return storage.Client(
            project="x",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.url},
        )

    def keys(self, bucket):
        """Every object's."""
        return sorted(blob.name for blob in self.client().list_blobs(bucket))

    def place(self, bucket, key, data):
        """Put an object there as somebody else would."""
        self.client().bucket(bucket).blob(key).upload_from_string(data)


SERVERS = {"gcs": Gcs}
