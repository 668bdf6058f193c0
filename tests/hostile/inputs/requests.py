# SPDX-License-Identifier: Apache-2.0
"""Requests that many bad inputs are made of."""

from __future__ import annotations

from ...web.content import OCI_MANIFEST
from ..rows import head, send

HEX = "0" * 64

UPLOADS = "/v2/a/blobs/uploads/"

MIB = 1024 * 1024


def put(reference, body, *headers, content_type=OCI_MANIFEST, name="a"):
    """A push of a manifest."""
    typed = [] if content_type is None else [f"Content-Type: {content_type}"]
    return send("PUT", f"/v2/{name}/manifests/{reference}", body, *typed, *headers)


def post(*lines, body=b""):
    """A start of an upload, framed as the lines say."""
    return head(f"POST {UPLOADS} HTTP/1.1", "Host: h", *lines) + body


def base(*lines):
    """A version check with these lines after its first."""
    return head("GET /v2/ HTTP/1.1", *lines)


def patch(*headers, body=b"0123456789"):
    """More bytes for the session."""
    return send("PATCH", "{session}", body, *headers)


def close(query, body=b"", *headers):
    """The end of the session."""
    return send("PUT", "{session}" + query, body, *headers)
