# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 that keeps the rules where a test lets it, and sends any bytes it is told."""

from __future__ import annotations

import h2.events as events
from attrs import define, field
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING = 0, 1, 2, 3, 4, 6
GOAWAY, WINDOW_UPDATE, CONTINUATION = 7, 8, 9
END_STREAM, END_HEADERS = 0x1, 0x4


def frame(kind, flags, number, payload=b"", length=None):
    """Spell a frame; its length may be a lie."""
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + bytes((kind, flags)) + number.to_bytes(4, "big") + payload


@define
class Answer:
    """What came of one stream so far."""

    headers: dict[str, str] = field(factory=dict)
    interim: list[int] = field(factory=list)
    body: bytearray = field(factory=bytearray, repr=False)
    is_whole: bool = False
    reset: int | None = None

    @property
    def status(self):
        return int(self.headers.get(":status", "0"))

    @property
    def is_over(self):
        return self.is_whole or self.reset is not None


class FrameClient(Protocol):
    """One connection.

    Attributes:
        protocol: the library's, on our side.
        answers: stream -> what came of it.
        kinds: of the frames that came.
        goaway: the code that the server left with; None if it has not.
        is_gone: the connection is closed.
    """

    def __init__(self, *, is_greedy=True, validates=True):
        self.is_greedy = is_greedy
        self.answers = {}
        self.goaway = None
        self.is_gone = False
        self.was_clean = None
        self.settings = {}
        self.kinds = []
        self._arrived = bytearray()
        self.protocol = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=validates,
                normalize_outbound_headers=validates,
            )
        )

    def connectionMade(self):
        self.protocol.initiate_connection()
        self.flush()

    def flush(self):
        self.transport.write(self.protocol.data_to_send())

    def raw(self, data):
        """Send bytes that the library knows nothing of."""
        if self.is_greedy:
            self.flush()
        self.transport.write(data)

    def ask(self, method, path, *, headers=(), is_whole=True, authority="registry.test"):
        """Begin a request; returns its stream."""
        number = self.protocol.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "https")]
        if authority:
            fields.append((":authority", authority))
        self.protocol.send_headers(number, [*fields, *headers], end_stream=is_whole)
        self.answers[number] = Answer()
        self.flush()
        return number

    def body(self, number, data, *, is_last=False):
        """Send part of a body, as far as the windows let; returns what was left over."""
        sent = 0
        while sent < len(data):
            room = min(self.protocol.local_flow_control_window(number), 16384, len(data) - sent)
            if not room:
                break
            self.protocol.send_data(number, data[sent : sent + room])
            sent += room
        if is_last and sent == len(data):
            self.protocol.end_stream(number)
        self.flush()
        return data[sent:]

    def dataReceived(self, data):
        self._arrived += data
        while len(self._arrived) >= 9:
            end = 9 + int.from_bytes(self._arrived[:3], "big")
            if len(self._arrived) < end:
                break
            one = bytes(self._arrived[:end])
            del self._arrived[:end]
            self._take(one)
        if self.is_greedy and not self.is_gone:
            self.flush()

    def _take(self, one):
        self.kinds.append(one[3])
        if one[3] == GOAWAY:
            # For our library this would be the end of everything, which it is not.
            self.goaway = int.from_bytes(one[13:17], "big")
            return
        try:
            found = self.protocol.receive_data(one)
        except ProtocolError:
            # Of a stream that a hostile client has opened behind its library's back; that is not to
            # end the connection.
            self.protocol.data_to_send()
            self.is_greedy = False
            return
        for event in found:
            self._hear(event)

    def _hear(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None), Answer())
        if isinstance(event, events.InformationalResponseReceived):
            answer.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, events.ResponseReceived):
            answer.headers = dict(event.headers)
        elif isinstance(event, events.DataReceived):
            answer.body += event.data
            if self.is_greedy:
                self.protocol.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
        elif isinstance(event, events.StreamEnded):
            answer.is_whole = True
        elif isinstance(event, events.StreamReset):
            answer.reset = int(event.error_code)
        elif isinstance(event, events.RemoteSettingsChanged):
            self.settings |= {int(k): v.new_value for k, v in event.changed_settings.items()}

    def connectionLost(self, reason):
        self.is_gone = True
        self.was_clean = reason.check(ConnectionDone) is not None

    def window(self, number):
        """How much of a stream's body we may send now."""
        return self.protocol.local_flow_control_window(number)
