# SPDX-License-Identifier: Apache-2.0
"""A server of the test's own that takes what the registry sends."""

from __future__ import annotations

import http.server
import threading


class Taker:
    """Gives the headers and the body of each POST to ``took``, and answers 200. Use as a context.

    Args:
        path: of ``url``.

    Attributes:
        url: of it.
    """

    def __init__(self, took, path="/"):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                took(self.headers, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}{path}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
