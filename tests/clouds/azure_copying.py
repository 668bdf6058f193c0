# SPDX-License-Identifier: Apache-2.0
"""What azurite lacks, in front of it: Put Block From URL, as Azure does it; and what goes wrong there.

A source is fetched by the URL that was given and with nothing else, so a signature in it has to be
good for that.
"""

from __future__ import annotations

import base64
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from azure.core.exceptions import HttpResponseError

from .servers import AZURITE_ACCOUNT

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Copying:
    """A proxy of azurite; a context.

    Attributes:
        copies: how many blocks were made from URLs.
        asked: method, path and query of every request.
        troubles: for requests to come, in turn: called with method and query, each returns None, or
            status and code of an answer in place of azurite's.
    """

    def __init__(self, azurite):
        self.azurite = azurite
        self.copies = 0
        self.asked = []
        self.troubles = []
        self.may_read_itself = True
        self.is_hierarchical = False
        self.batch_status = 0
        proxy = self

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                proxy.answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # its names

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def service_url(self):
        return f"http://127.0.0.1:{self.server.server_port}/{AZURITE_ACCOUNT}"

    def listings(self):
        """How many there were."""
        return sum("comp=list" in query for _, _, query in self.asked)

    # --- one request ------------------------------------------------------------------------------

    def answer(self, request):
        parts = urlsplit(request.path)
        self.asked.append((request.command, parts.path, parts.query))
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        trouble = self.troubles.pop(0)(request.command, parts.query) if self.troubles else None
        if trouble:
            self.refuse(request, *trouble)
        elif request.headers.get("x-ms-copy-source") and "comp=block" in parts.query:
            self.copy(request, parts)
        else:
            status, headers, data = self.fetch(
                request.command, request.path, dict(request.headers), body
            )
            if "restype=account" in parts.query:
                headers["x-ms-is-hns-enabled"] = str(self.is_hierarchical).lower()
            if self.batch_status and "comp=batch" in parts.query:
                data = data.replace(b"HTTP/1.1 ", f"HTTP/1.1 {self.batch_status} was ".encode())
            self.send(request, status, headers, data)

    def copy(self, request, parts):
        """Put Block From URL."""
        source = urlsplit(request.headers["x-ms-copy-source"])
        headers = {"x-ms-version": "2021-12-02", "Range": request.headers["x-ms-source-range"]}
        status, _, data = self.fetch("GET", f"{source.path}?{source.query}", headers, b"")
        if not self.may_read_itself:
            status = 403
        if status not in (200, 206):
            self.refuse(request, status, "CannotVerifyCopySource")
            return
        name = base64.b64decode(parse_qs(parts.query)["blockid"][0]).decode()
        _, _, container, key = parts.path.split("/", 3)
        try:
            with self.azurite.client() as client:
                client.get_blob_client(container, key).stage_block(name, data)
        except HttpResponseError as error:
            code = error.error_code  # a member of an enumeration, or a text
            self.refuse(request, error.status_code, getattr(code, "value", code))
            return
        self.copies += 1
        self.send(request, 201, {}, b"")

    def fetch(self, method, path, headers, body):
        """What azurite answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.azurite.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def refuse(self, request, status, code):
        document = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        headers = {"x-ms-error-code": code, "Content-Type": "application/xml"}
        self.send(request, status, headers, document.encode())

    def send(self, request, status, headers, data):
        request.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                request.send_header(name, value)
        length = len(data)
        if request.command == "HEAD":
            length = next((v for n, v in headers.items() if n.lower() == "content-length"), 0)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)


def read(bucket, key, start=0):
    opened = bucket.open(key, start)
    return b"".join(iter(lambda: opened.read(1024 * 1024), b""))


def pages(bucket, limit, *, is_deep=True, after=""):
    """Everything that is told of the root."""
    told = []
    while True:
        page = bucket.list("", after=after, limit=limit, is_deep=is_deep)
        assert len(page.objects) + len(page.prefixes) <= limit
        told += [one.key for one in page.objects] + list(page.prefixes)
        after = page.after
        if not after:
            return sorted(told)
