# SPDX-License-Identifier: Apache-2.0
"""A small blocking client that sends exactly what a test says."""

from __future__ import annotations

import http.client
import json
import re
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

#: Link = "<" URI-Reference ">" ; rel="next"    (RFC 8288 section 3)
LINK = re.compile(r'<([^<>]+)>; rel="next"')


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def all(self, name):
        """Every value of a header, one for each line."""
        return self.headers.get_all(name) or []

    def json(self):
        """The body, which must be JSON that says so."""
        assert self.headers.get_content_subtype().endswith("json"), self
        return json.loads(self.body)

    @property
    def codes(self):
        """The codes of an error document, which must be well-formed."""
        assert self.headers["Content-Type"] == "application/json", self
        document = json.loads(self.body)
        assert list(document) == ["errors"] and document["errors"], document
        for row in document["errors"]:
            assert {"code", "message"} <= set(row) <= {"code", "message", "detail"}, row
            assert row["code"].replace("_", "").isupper() and row["message"], row
        return [row["code"] for row in document["errors"]]

    @property
    def refusal(self):
        """Status and first code: what an error comes down to."""
        return self.status, self.codes[0]


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

    def get(self, path, headers=None):
        return self.request("GET", path, headers={"Accept": ACCEPT, **(headers or {})})

    def head(self, path, headers=None):
        return self.request("HEAD", path, headers={"Accept": ACCEPT, **(headers or {})})

    def post(self, path, body=b"", headers=None):
        return self.request("POST", path, body, headers)

    def put(self, path, body=b"", headers=None):
        return self.request("PUT", path, body, headers)

    def delete(self, path):
        return self.request("DELETE", path)

    def get_json(self, path):
        answer = self.get(path)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def pages(self, path):
        """The documents of a listing, from one Link to the next, to the end."""
        while path:
            answer = self.get(path)
            assert answer.status == 200, answer
            yield answer.json()
            links = [LINK.fullmatch(link) for link in answer.all("Link")]
            assert len(links) <= 1 and all(links), answer.all("Link")
            path = links[0][1] if links else None

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
            "PUT",
            f"{location}{separator}digest={digest}",
            data,
            {"Content-Type": "application/octet-stream"},
        )
        assert answer.status == 201, answer
        return answer

    def push_blob(self, repository, data, digest):
        return self.finish_upload(self.start_upload(repository), digest, data)
