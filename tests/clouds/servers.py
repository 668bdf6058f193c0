# SPDX-License-Identifier: Apache-2.0
"""Emulators of cloud storage, as processes."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import sys
from pathlib import Path

import swiftclient
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
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


#: Known to everybody: azurite's.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def azurite_program():
    """Where ``.ci/run`` puts azurite, or where else it is."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    program = Path(cache) / "txregistry-tests/node_modules/.bin/azurite-blob"
    found = program if program.exists() else shutil.which("azurite-blob")
    assert found, f"azurite is neither at {program} nor on PATH: run .ci/run once, or install it"
    return os.fspath(found)


class Azurite(Server):
    """Microsoft's emulator: checks signatures and conditions; copies no blocks from URLs."""

    driver = "azure"

    def __init__(self, directory, *more):
        super().__init__(directory, [azurite_program()])
        self.command += ["--blobPort", str(self.port)]
        self.command += ["--inMemoryPersistence", "--silent", "--disableTelemetry"]
        self.command += ["--skipApiVersionCheck", *more]

    def answers(self):
        """Everything without a signature is refused."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status >= 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    @property
    def service_url(self):
        return f"{self.url}/{AZURITE_ACCOUNT}"

    def options(self, bucket, **more):
        """Of a driver; the container is there."""
        with self.client() as client, contextlib.suppress(ResourceExistsError):
            client.create_container(bucket)
        return {
            "accountname": AZURITE_ACCOUNT,
            "accountkey": AZURITE_KEY,
            "serviceurl": self.service_url,
            "container": bucket,
            **more,
        }

    def client(self):
        """Microsoft's own."""
        named = {"account_name": AZURITE_ACCOUNT, "account_key": AZURITE_KEY}
        return BlobServiceClient(self.service_url, credential=named)

    def keys(self, bucket):
        """Every blob's."""
        with self.client() as client:
            return list(client.get_container_client(bucket).list_blob_names())

    def place(self, bucket, key, data):
        """Put a blob there as registry:3 would: it appends."""
        with self.client() as client:
            blob = client.get_blob_client(bucket, key)
            blob.create_append_blob()
            if data:
                blob.append_block(data)


SERVERS = {"azure": Azurite, "gcs": Gcs, "swift": Swift}
