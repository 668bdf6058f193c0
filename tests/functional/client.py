# SPDX-License-Identifier: Apache-2.0
"""A small blocking client that sends exactly what a test says."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Client:
    """One request, one connection."""

    def __init__(self, server, timeout=120):
        self.port = server.port
        self.timeout = timeout

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path):
        return self.request("GET", path, headers={"Accept": ACCEPT})

    def head(self, path):
        return self.request("HEAD", path, headers={"Accept": ACCEPT})

    def get_json(self, path):
        answer = self.get(path)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def here(self, location):
        """A Location as a path on this client's server, whichever server gave it."""
        parts = urlsplit(location)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def start_upload(self, repository):
        answer = self.request("POST", f"/v2/{repository}/blobs/uploads/", body=b"")
        assert answer.status == 202, answer
        return self.here(answer.headers["Location"])

    def patch(self, location, data, headers=None):
        answer = self.request(
            "PATCH", location, data, {"Content-Type": "application/octet-stream", **(headers or {})}
        )
        assert answer.status == 202, answer
        return self.here(answer.headers["Location"])

    def finish_upload(self, location, digest, data=b""):
        separator = "&" if "?" in location else "?"
        answer = self.request(
            "PUT", f"{location}{separator}digest={digest}", data, {"Content-Type": "application/octet-stream"}
        )
        assert answer.status == 201, answer
        return answer

    def push_blob(self, repository, data, digest):
        return self.finish_upload(self.start_upload(repository), digest, data)
