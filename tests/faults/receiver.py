# SPDX-License-Identifier: Apache-2.0
"""A receiver of notifications, as a program that can be killed: ``receiver.py PORT MOOD RECORD``.

It does what the file MOOD says at the moment, and adds a line to RECORD for each event that arrived,
before it answers: what is in there has arrived, whatever becomes of the receiver.

=========  =========================================================
good       takes it
error      answers 500 and does not look at it
hang       reads it and never answers
forget     takes it, and breaks the connection instead of answering
=========  =========================================================
"""

import http.server
import json
import os
import sys
import threading
import time
from pathlib import Path

#: Seconds for which one that hangs does so; longer than anybody waits for it.
HANGING = 30.0


def serve(port, mood, record):
    """Serve until killed."""
    journal = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(journal, b"\n")  # an earlier one may have been killed in the middle of a line

    class Receiver(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            now = Path(mood).read_text()
            if now == "hang":
                time.sleep(HANGING)
                return
            if now == "error":
                self.answer(500)
                return
            lines = [
                json.dumps({"to": self.path, **event}) + "\n"
                for event in json.loads(body)["events"]
            ]
            os.write(journal, "".join(lines).encode())
            if now == "forget":
                self.close_connection = True
                return
            self.answer(200)

        def answer(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Service(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """Say nothing of connections that break: they are meant to."""

        allow_reuse_address = True

    service = Service(("127.0.0.1", port), Receiver)
    print("ready", flush=True)
    threading.Thread(target=service.serve_forever).start()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], sys.argv[3])
