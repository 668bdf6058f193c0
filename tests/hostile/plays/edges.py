# SPDX-License-Identifier: Apache-2.0
"""Other ports than that of the clients: TLS, receivers of notifications, the one of operators."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socket
import ssl
import threading
import urllib.parse

from ...web.content import OCI_MANIFEST, manifest
from ..rows import get, send
from ..ward import LAYER
from ..wire import PATIENCE

# --- TLS


def _hello(version):
    """A ClientHello that offers one old version, and the suites of its time."""
    suites = bytes.fromhex("c014c00ac013c0090035002f000a")
    body = version + bytes(32) + b"\0" + len(suites).to_bytes(2, "big") + suites + b"\1\0"
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16" + version + len(message).to_bytes(2, "big") + message


JUNK = {
    "plain HTTP": get("/v2/"),
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37),
    "SSL 3": _hello(b"\3\0"),
    "TLS 1.0": _hello(b"\3\1"),
    "TLS 1.1": _hello(b"\3\2"),
    "half a hello": _hello(b"\3\3")[:20],
    "nothing": b"",
    "zeros": bytes(20_000),
    "an alert": b"\x15\3\3\0\2\2\0",
    "data before a hello": b"\x17\3\3\0\5hello",
    "endless handshake": b"\x16\3\3\x40\0" + bytes(16384) + b"\x16\3\3\x40\0" + bytes(16384),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
}


def _tls_port(ward):
    return int(ward.settings["http"]["addr"].rpartition(":")[2])


def junk_on_the_tls_port(ward, name):
    """B-034: the connection is closed, nothing old is spoken, and others are served."""
    with socket.create_connection(("127.0.0.1", _tls_port(ward)), PATIENCE) as connection:
        received = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(JUNK[name])
            while data := connection.recv(1 << 16):
                received += data
    # What is text is told in text, and nothing else; other junk gets an alert at most.
    is_told = received.startswith(b"HTTP/1.0 400 ") and b"speaks HTTPS" in received
    assert is_told or received[:1] in (b"", b"\x15"), received[:100]
    assert is_told is (name in ("plain HTTP", "SSH"))
    context = ssl.create_default_context(
        cafile=str(ward.server.directory / "authority/test-authority.pem")
    )
    connection = http.client.HTTPSConnection(
        "localhost", _tls_port(ward), timeout=PATIENCE, context=context
    )
    with contextlib.closing(connection):
        connection.request("GET", "/v2/")
        assert connection.getresponse().status == 200


# --- receivers of notifications

MOODS = ("500", "302", "404 and then", "hang", "cut", "flood", "no HTTP", "half a head")


class Receiver:
    """What listens where the server sends its notifications. Use as a context.

    Attributes:
        mood: how it answers; empty: well.
        events: that it has taken.
        paths: that were asked for.
    """

    def __init__(self, ward, mood):
        self.mood, self.events, self.paths = mood, [], []
        self._changed = threading.Condition()
        url = ward.settings["notifications"]["endpoints"][0]["url"]
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                receiver.note(self.path, [])

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.answer(self, body)

            def log_message(self, *_):
                pass

        class Service(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self._service = Service(("127.0.0.1", urllib.parse.urlsplit(url).port), Handler)

    def __enter__(self):
        threading.Thread(target=self._service.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._service.shutdown()
        self._service.server_close()

    def note(self, path, events):
        with self._changed:
            self.paths.append(path)
            self.events += events
            self._changed.notify_all()

    def answer(self, handler, body):
        mood = self.mood
        self.note(handler.path, [] if mood else json.loads(body)["events"])
        raw = {
            "500": b"HTTP/1.1 500 evil\r\nContent-Length: 0\r\n\r\n",
            "302": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
            "404 and then": b"HTTP/1.1 503 Later\r\nRetry-After: evil\r\nContent-Length: 0\r\n\r\n",
            "no HTTP": b"220 smtp ready\r\n" * 5,
            "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
            "": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        }.get(mood, b"")
        if mood == "hang":
            with self._changed:
                self._changed.wait_for(lambda: self.mood != mood, PATIENCE)
            return
        handler.wfile.write(raw)
        if mood == "flood":
            handler.wfile.write(b"HTTP/1.1 500 x\r\nContent-Length: 10737418240\r\n\r\n")
            for _ in range(160):
                handler.wfile.write(bytes(1 << 16))

    def wait(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), (self.mood, self.paths, self.events)

    def has(self, tag):
        return any(event["target"].get("tag") == tag for event in self.events)


def _push(ward, tag, *headers, **annotations):
    data = manifest(LAYER, annotations={**annotations, "tag": tag})
    typed = f"Content-Type: {OCI_MANIFEST}"
    return ward.ask(send("PUT", f"/v2/a/manifests/{tag}", data, typed, *headers))


def receiver_in_a_mood(ward, mood):
    """B-170: pushes go on, and the event arrives once the receiver is well; no redirect is
    followed.
    """
    tag = "mood-" + mood.replace(" ", "-")
    with Receiver(ward, mood) as receiver:
        assert _push(ward, tag).status == 201
        receiver.wait(lambda: receiver.paths)
        assert _push(ward, tag + "-2").status == 201
        with receiver._changed:
            receiver.mood = ""
            receiver._changed.notify_all()
        receiver.wait(lambda: receiver.has(tag) and receiver.has(tag + "-2"))
        assert set(receiver.paths) == {"/events"}


AGENTS = ("\x80\xff", "x" * 8000, '"},{"', "\t<script>", "${jndi:ldap://127.0.0.1/}", "\u00e9")


def event_with_hostile_text(ward, agent):
    """B-171: it is JSON all the same, and no larger for what a client says of itself."""
    tag = f"agent-{AGENTS.index(agent)}"
    with Receiver(ward, "") as receiver:
        reply = _push(ward, tag, f"User-Agent: {agent}", **{"x" * 1000: "\x01\u202e</script>"})
        assert reply.status == 201
        receiver.wait(lambda: receiver.has(tag))
        [event] = [event for event in receiver.events if event["target"].get("tag") == tag]
        assert len(json.dumps(event)) < 8192


# --- the port of operators


def metrics_tell_no_names(ward):
    """B-174: neither what is stored nor what strangers ask for is told, nor does it grow by it."""
    address = ward.settings["http"]["debug"]["addr"]

    def page(path):
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200, path
            return response.read()

    def ask_around(count):
        for number in range(count):
            for who in ("", ward.own):
                ward.ask(get(f"/v2/hidden-{number}/manifests/x{number}"), who)
                ward.ask(get(f'/v2/x{number}"%7D/tags/list'), who)
            ward.ask(send(f"HIDDEN{number}", "/v2/"), "")
        return len(page("/metrics").splitlines())

    assert ask_around(60) == ask_around(3)
    for path in ("/metrics", "/debug/health", "/debug/vars"):
        text = page(path)
        assert not [name for name in (b"hidden", b"HIDDEN", b"latest") if name in text], path
