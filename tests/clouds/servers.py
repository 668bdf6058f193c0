# SPDX-License-Identifier: Apache-2.0
"""Emulators of cloud storage, as processes."""

from __future__ import annotations

import contextlib
import os
import sys

import swiftclient
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


class Swift(Server):
    """OpenStack Swift itself."""

    driver = "swift"
    check = "/info"
    user, key = "test:tester", "testing"

    def __init__(self, directory):
        super().__init__(directory, [sys.executable])
        self.command += ["-W", "ignore", "-m", "tests.s3.swift_server"]
        self.command += [os.fspath(directory / "swift"), str(self.port)]

    def options(self, bucket, **more):
        """Of a driver, which makes the container."""
        if "rootdirectory" in more:
            more["prefix"] = more.pop("rootdirectory")
        login = {"authurl": f"{self.url}/auth/v1.0", "username": self.user, "password": self.key}
        return {**login, "container": bucket, **more}

    def client(self):
        """OpenStack's own."""
        return swiftclient.Connection(f"{self.url}/auth/v1.0", self.user, self.key)

    def keys(self, bucket):
        """Every object's."""
        with contextlib.closing(self.client()) as client:
            return [entry["name"] for entry in client.get_container(bucket, full_listing=True)[1]]

    def place(self, bucket, key, data):
        """Put an object there as somebody else would."""
        with contextlib.closing(self.client()) as client:
            client.put_object(bucket, key, data)


SERVERS = {"gcs": Gcs, "swift": Swift}
