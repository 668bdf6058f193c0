# SPDX-License-Identifier: Apache-2.0
"""An S3 of our own, for what real servers can't be made to do on demand.

It keeps S3's limits, scaled down, counts requests, and fails as it is told: with 5xx, late, with an
error in the body of a 200, with an answer that is lost after success, with a body that is cut. It
knows what the driver asks for and no more, and checks no signatures.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import socket
import struct
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_MODIFIED = 1_700_000_000


@dataclass(frozen=True)
class Limits:
    smallest_part: int = 1000
    most_parts: int = 50
    copy_limit: int = 50_000
    page: int = 1000


@dataclass(frozen=True)
class Stored:
    data: bytes
    etag: str
    metadata: dict
    given: dict = field(default_factory=dict)


@dataclass
class Fault:
    """What becomes of one request: ``status`` (with ``code``), ``lost``, ``cut``, ``error-in-200``."""

    kind: str
    status: int = 503
    code: str = "SlowDown"
    headers: dict = field(default_factory=dict)
    at: int = 0


class FakeS3:
    """The state, and a server on 127.0.0.1 while the context is entered.

    Attributes:
        calls: how often each operation was asked for, retries included.
        faults: operation -> what becomes of its next requests, in order.
        signers: the access keys that requests were signed with.
    """

    def __init__(self, limits=None, *, has_conditions=True, copies_parts=True, mangles=False):
        self.limits = limits or Limits()
        self.has_conditions = has_conditions
        self.copies_parts = copies_parts
        self.mangles = mangles
        self.lock = threading.RLock()
        self.objects = {}
        self.uploads = {}
        self.calls = Counter()
        self.faults = {}
        self.signers = set()
        self.numbers = itertools.count(1)

    def fail(self, operation, *faults):
        self.faults.setdefault(operation, deque()).extend(faults)

    def __enter__(self):
        requests = type("Requests", (_Requests,), {"fake": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), requests)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def place(self, key, data, metadata=(), given=()):
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        self.objects[key] = Stored(data, etag, dict(metadata), dict(given))
        return etag


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeS3

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:  # the client has left
            self.close_connection = True

    # --- one request ----------------------------------------------------------------------------

    def serve(self):
        parts = urlsplit(self.path)
        self.key = unquote(parts.path).lstrip("/").partition("/")[2]
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.body = self.read_body()
        operation = self.operation()
        with self.fake.lock:
            self.fake.calls[operation] += 1
            signed = re.search(r"Credential=([^/]*)/", self.headers.get("Authorization", ""))
            self.fake.signers |= {signed[1]} if signed else set()
            waiting = self.fake.faults.get(operation)
            fault = waiting.popleft() if waiting else None
        if fault is not None and fault.kind == "status":
            return self.refuse(Refused(fault.status, fault.code), fault.headers)
        if fault is not None and fault.kind == "error-in-200":
            text = f"<Error><Code>{fault.code}</Code><Message>no</Message></Error>"
            return self.answer(200, text.encode())
        try:
            with self.fake.lock:
                status, body, headers = getattr(self, operation)()
        except Refused as refused:
            return self.refuse(refused)
        if fault is not None and fault.kind == "lost":
            return self.reset()
        return self.answer(status, body, headers, fault.at if fault is not None else None)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def read_body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return data
        if self.fake.mangles:  # as servers do that know nothing of this framing
            return data
        plain, position = b"", 0
        while True:
            stop = data.index(b"\r\n", position)
            size = int(data[position:stop].partition(b";")[0], 16)
            if not size:
                return plain
            plain += data[stop + 2 : stop + 2 + size]
            position = stop + 2 + size + 2

    def operation(self):
        method, query = self.command, self.query
        if method == "GET" and not self.key:
            return "ListObjectsV2"
        if method == "PUT" and "uploadId" in query:
            copies = "x-amz-copy-source" in self.headers
            return "UploadPartCopy" if copies else "UploadPart"
        if method == "PUT":
            return "CopyObject" if "x-amz-copy-source" in self.headers else "PutObject"
        if method == "POST" and "uploads" in query:
            return "CreateMultipartUpload"
        if method == "POST":
            return "DeleteObjects" if "delete" in query else "CompleteMultipartUpload"
        if method == "DELETE":
            return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
        return {"GET": "GetObject", "HEAD": "HeadObject"}[method]

    def answer(self, status, body=b"", headers=(), cut_at=None):
        self.send_response(status)
        headers = dict(headers)
        headers.setdefault("Content-Length", str(len(body)))
        headers["x-amz-request-id"] = f"R{next(self.fake.numbers)}"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut_at is None else body[:cut_at])
        if cut_at is not None:
            self.wfile.flush()
            self.close_connection = True

    def refuse(self, refused, headers=()):
        body = f"<Error><Code>{refused.code}</Code><Message>no</Message></Error>".encode()
        self.answer(refused.status, b"" if self.command == "HEAD" else body, headers)

    def reset(self):
        """End the connection in place of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    # --- objects --------------------------------------------------------------------------------

    def find(self, key=None):
        try:
            return self.fake.objects[self.key if key is None else key]
        except KeyError:
            raise Refused(404, "NoSuchKey") from None

    def check_conditions(self):
        present = self.fake.objects.get(self.key)
        if not self.fake.has_conditions:
            return
        if self.headers.get("If-None-Match") == "*" and present is not None:
            raise Refused(412, "PreconditionFailed")
        wanted = self.headers.get("If-Match")
        if wanted is not None and (present is None or present.etag != wanted):
            raise Refused(412 if present else 404, "PreconditionFailed" if present else "NoSuchKey")

    def headers_of(self, stored):
        return {
            "ETag": stored.etag,
            "Last-Modified": formatdate(_MODIFIED, usegmt=True),
            **{f"x-amz-meta-{name}": value for name, value in stored.metadata.items()},
        }

    def GetObject(self):
        self.check_conditions()
        stored = self.find()
        ranged = self.headers.get("Range")
        if ranged is None:
            return 200, stored.data, self.headers_of(stored)
        start = int(re.fullmatch(r"bytes=(\d+)-", ranged)[1])
        size = len(stored.data)
        if start >= size:
            raise Refused(416, "InvalidRange")
        content_range = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
        return 206, stored.data[start:], self.headers_of(stored) | content_range

    def HeadObject(self):
        stored = self.find()
        length = {"Content-Length": str(len(stored.data))}
        return 200, b"", self.headers_of(stored) | length

    def given(self):
        names = ("x-amz-server-side-encryption", "x-amz-storage-class", "x-amz-acl")
        names += ("x-amz-server-side-encryption-aws-kms-key-id",)
        return {name: self.headers[name] for name in names if name in self.headers}

    def PutObject(self):
        self.check_conditions()
        metadata = {
            name.lower().removeprefix("x-amz-meta-"): value
            for name, value in self.headers.items()
            if name.lower().startswith("x-amz-meta-")
        }
        return 200, b"", {"ETag": self.fake.place(self.key, self.body, metadata, self.given())}

    def DeleteObject(self):
        self.check_conditions()
        self.fake.objects.pop(self.key, None)
        return 204, b"", {}

    def DeleteObjects(self):
        for node in ElementTree.fromstring(self.body).iter():
            if node.tag.endswith("Key"):
                self.fake.objects.pop(node.text, None)
        return 200, b"<DeleteResult></DeleteResult>", {}

    def source(self):
        return self.find(unquote(self.headers["x-amz-copy-source"]).lstrip("/").partition("/")[2])

    def CopyObject(self):
        source = self.source()
        if len(source.data) > self.fake.limits.copy_limit:
            raise Refused(400, "InvalidRequest")
        etag = self.fake.place(self.key, source.data, source.metadata, self.given())
        return 200, f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>".encode(), {}

    def ListObjectsV2(self):
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter")
        after = self.query.get("start-after", "")
        limit = min(int(self.query.get("max-keys", 1000)), self.fake.limits.page)
        entries, last_group, is_truncated = [], None, False
        for key in sorted(self.fake.objects):
            if not key.startswith(prefix) or key <= after:
                continue
            below, found, _ = key[len(prefix) :].partition(delimiter or "\0")
            group = prefix + below + "/" if delimiter and found else None
            if group and group == last_group:
                continue
            if len(entries) == limit:
                is_truncated = True
                break
            last_group = group
            entries.append(_listed_group(group) if group else _listed(key, self.fake.objects[key]))
        state = f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>"
        kind = "<EncodingType>url</EncodingType>"
        text = f"<ListBucketResult>{kind}{state}{''.join(entries)}</ListBucketResult>"
        return 200, text.encode(), {}

    # --- multipart uploads ----------------------------------------------------------------------

    def upload(self):
        try:
            return self.fake.uploads[self.query["uploadId"]]
        except KeyError:
            raise Refused(404, "NoSuchUpload") from None

    def CreateMultipartUpload(self):
        name = f"upload-{next(self.fake.numbers)}"
        self.fake.uploads[name] = {"given": self.given(), "parts": {}}
        text = f"<R><UploadId>{name}</UploadId><Key>{escape(self.key)}</Key></R>"
        return 200, text.encode(), {}

    def take_part(self, data):
        number = int(self.query["partNumber"])
        if not 1 <= number <= self.fake.limits.most_parts:
            raise Refused(400, "InvalidArgument")
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        self.upload()["parts"][number] = (etag, data)
        return etag

    def UploadPart(self):
        # The upload was not created for a CRC, so S3 takes none, at least not from everybody.
        if any(name.lower().startswith("x-amz-checksum-") for name in self.headers):
            raise Refused(400, "InvalidRequest")
        expected = self.headers.get("Content-MD5")
        if expected != base64.b64encode(hashlib.md5(self.body).digest()).decode():
            raise Refused(400, "BadDigest" if expected else "InvalidRequest")
        return 200, b"", {"ETag": self.take_part(self.body)}

    def UploadPartCopy(self):
        if not self.fake.copies_parts:
            raise Refused(501, "NotImplemented")
        data = self.source().data
        ranged = self.headers.get("x-amz-copy-source-range")
        if ranged is not None:
            start, stop = re.fullmatch(r"bytes=(\d+)-(\d+)", ranged).groups()
            data = data[int(start) : int(stop) + 1]
        if len(data) > self.fake.limits.copy_limit:
            raise Refused(400, "InvalidRequest")
        etag = self.take_part(data)
        return 200, f"<CopyPartResult><ETag>{etag}</ETag></CopyPartResult>".encode(), {}

    def CompleteMultipartUpload(self):
        upload = self.upload()
        chosen = []
        for node in ElementTree.fromstring(self.body):
            fields = {child.tag.rpartition("}")[2]: child.text for child in node}
            part = upload["parts"].get(int(fields["PartNumber"]))
            if part is None or part[0].strip('"') != fields["ETag"].strip('"'):
                raise Refused(400, "InvalidPart")
            chosen.append(part[1])
        if any(len(data) < self.fake.limits.smallest_part for data in chosen[:-1]):
            raise Refused(400, "EntityTooSmall")
        etag = self.fake.place(self.key, b"".join(chosen), {}, upload["given"])
        del self.fake.uploads[self.query["uploadId"]]
        text = f"<R><Key>{escape(self.key)}</Key><ETag>{etag}</ETag></R>"
        return 200, text.encode(), {}

    def AbortMultipartUpload(self):
        self.upload()
        del self.fake.uploads[self.query["uploadId"]]
        return 204, b"", {}


def _listed(key, stored):
    return (
        f"<Contents><Key>{quote(key)}</Key><Size>{len(stored.data)}</Size>"
        f"<ETag>{escape(stored.etag)}</ETag>"
        f"<LastModified>2023-11-14T22:13:20.000Z</LastModified></Contents>"
    )


def _listed_group(group):
    return f"<CommonPrefixes><Prefix>{quote(group)}</Prefix></CommonPrefixes>"
