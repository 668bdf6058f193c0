# SPDX-License-Identifier: Apache-2.0
"""Clients behind a slow link that breaks: uploads and downloads go on where they were."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import time

import pytest

from tests.functional.servers import Registry

from .campaign import Campaign, is_long, short_or_long
from .journal import digest_of
from .links import FINISH, RESET, STALL, Behaviour, Link
from .patrons import OCTETS, Line, WholeResponse, here

MIB = 1024 * 1024
KIB = 1024

#: Seconds after which a client that hears nothing takes the link for dead.
DEAF = 0.5


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("links")) as one:
        yield one


class Pusher:
    """A client that pushes one blob and goes on after whatever happens.

    Attributes:
        sent: bytes of bodies that it has sent.
    """

    def __init__(self, link, data, repository):
        self.link = link
        self.data = data
        self.repository = repository
        self.digest = digest_of(data)
        self.location = None
        self.problems = []
        self.sent = 0

    def push(self, behave):
        """Try until it is in.

        Args:
            behave: called before each connection, to say how that will be.
        """
        for _ in range(200):
            behave()
            line = Line(self.link.port, timeout=DEAF)
            try:
                if self._go_on(line):
                    return self.problems
            except (OSError, http.client.HTTPException):
                continue
            finally:
                line.close()
        return [*self.problems, "it never gets in"]

    def _go_on(self, line):
        if self.location is None:
            answer = line.request("POST", f"/v2/{self.repository}/blobs/uploads/")
            self.location = here(answer.headers["Location"])
        answer = line.request("GET", self.location)
        if answer.status == 404:
            # The answer to the last PUT may be what was lost.
            found = line.request("HEAD", f"/v2/{self.repository}/blobs/{self.digest}")
            if found.status != 200:
                self.problems.append("the session is lost")
            return True
        self._expect(204, answer)
        last = int(answer.headers["Range"].partition("-")[2])
        offset = last + 1 if last else 0
        if offset > self.sent:
            self.problems.append(f"{offset} bytes are held, {self.sent} were sent")
        location = here(answer.headers["Location"])
        if offset < len(self.data):
            self.sent = len(self.data)
            span = {"Content-Range": f"{offset}-{len(self.data) - 1}"}
            answer = line.request("PATCH", location, self.data[offset:], OCTETS | span)
            if answer.status == 416:  # what an earlier connection left is still being stored
                return False
            self._expect(202, answer)
            location = here(answer.headers["Location"])
        self._expect(201, line.request("PUT", f"{location}&digest={self.digest}", b""))
        return True

    def _expect(self, status, answer):
        assert answer.status == status, f"{answer.status} {answer.headers} {answer.body[:200]}"


class UploadTests:
    @pytest.mark.parametrize("how", [RESET, FINISH])
    def test_cut_uploads_go_on(self, server, how):
        """Cut at any byte of any request or answer, a push ends with its blob in place."""
        with Campaign(f"uploads over a link that cuts ({how})", strikes="cuts") as campaign:
            for number in range(short_or_long(6, 150)):
                data = os.urandom(campaign.choice.randint(1, 2 * MIB))
                with Link(server.port, cuts=4) as link:

                    def behave(link=link, data=data):
                        # Half of the cuts meet the few bytes of the answers.
                        up = campaign.choice.randint(1, len(data) + 2_000)
                        down = campaign.choice.randint(1, 1_500)
                        is_up = campaign.choice.random() < 0.5
                        link.upstream = Behaviour(cut_at=up if is_up else None, cut_how=how)
                        link.downstream = Behaviour(cut_at=None if is_up else down, cut_how=how)

                    pusher = Pusher(link, data, f"links/{how}-{number}")
                    problems = pusher.push(behave)
                    campaign.struck(link.was_cut)
                line = Line(server.port)
                found = line.get(f"/v2/{pusher.repository}/blobs/{pusher.digest}")
                line.close()
                if found.body != data:
                    problems.append("other bytes are there")
                campaign.trial(f"{len(data)} bytes", problems)

    def test_half_open_connections_are_taken_over(self, server):
        """A cable is drawn, nobody notices; the client comes back and goes on while the old one stands."""
        with Campaign("uploads over a link that goes dead", strikes="cuts") as campaign:
            for number in range(short_or_long(2, 30)):
                data = os.urandom(MIB)
                with Link(server.port, cuts=2) as link:

                    def behave(link=link):
                        stop = campaign.choice.randint(1, MIB)
                        link.upstream = Behaviour(cut_at=stop, cut_how=STALL)

                    pusher = Pusher(link, data, f"links/dead-{number}")
                    campaign.trial(f"upload {number}", pusher.push(behave))
                    campaign.struck(link.was_cut)

    def test_slow_upload_gets_in(self, server):
        """A slow, distant client in small pieces."""
        size, rate = (8 * MIB, 256 * KIB) if is_long() else (256 * KIB, 512 * KIB)
        with Campaign("uploads over a slow link") as campaign:
            data = os.urandom(size)
            slow = Behaviour(rate=rate, latency=0.005, piece=1400)
            with Link(server.port, upstream=slow, downstream=Behaviour(latency=0.02)) as link:
                line = Line(link.port, timeout=600)
                location = here(
                    line.request("POST", "/v2/links/slow/blobs/uploads/").headers["Location"]
                )
                started = time.monotonic()
                answer = line.request("PUT", f"{location}&digest={digest_of(data)}", data, OCTETS)
                seconds = time.monotonic() - started
                line.close()
            assert seconds >= size / rate
            campaign.trial("one", [] if answer.status == 201 else [f"{answer.status}"])
            campaign.notes["seconds for the upload"] = round(seconds, 1)


class DownloadTests:
    @pytest.mark.parametrize("how", [RESET, FINISH, STALL])
    def test_cut_downloads_are_seen_and_go_on(self, server, how):
        """What is cut is never a short success; the rest comes with Range."""
        data = os.urandom(2 * MIB)
        digest = digest_of(data)
        line = Line(server.port)
        path = f"/v2/links/pull/blobs/uploads/?digest={digest}"
        assert line.request("POST", path, data, OCTETS).status == 201
        line.close()
        with Campaign(f"downloads over a link that cuts ({how})", strikes="cuts") as campaign:
            count = short_or_long(6 if how != STALL else 2, 100 if how != STALL else 10)
            for number in range(count):
                with Link(server.port, cuts=3) as link:
                    got, problems = b"", []
                    while len(got) < len(data):
                        cut_at = campaign.choice.randint(1, len(data))
                        link.downstream = Behaviour(cut_at=cut_at, cut_how=how)
                        piece, is_whole = self._get(link.port, digest, len(got))
                        got += piece
                        if is_whole and len(got) != len(data):
                            problems.append(f"{len(got)} bytes came as if they were all")
                            break
                    campaign.struck(link.was_cut)
                if got != data:
                    problems.append("other bytes came")
                campaign.trial(f"download {number}", problems)

    def _get(self, port, digest, start):
        """The bytes from ``start`` that come, and whether the answer was whole."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEAF)
        connection.response_class = WholeResponse
        pieces = []
        try:
            headers = {"Range": f"bytes={start}-"} if start else {}
            connection.request("GET", f"/v2/links/pull/blobs/{digest}", headers=headers)
            response = connection.getresponse()
            assert response.status == (206 if start else 200)
            while piece := response.read1(64 * KIB):
                pieces.append(piece)
            is_whole = response.isclosed()
            return b"".join(pieces), is_whole and sum(map(len, pieces)) == response_length(response)
        except (OSError, http.client.HTTPException):
            return b"".join(pieces), False
        finally:
            connection.close()


def response_length(response):
    return int(response.headers["Content-Length"])


class LinkTests:
    """The link itself: it must do what it says."""

    @pytest.fixture
    def echo(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener

    @pytest.mark.parametrize("how", [RESET, FINISH])
    def test_cut_comes_after_so_many_bytes(self, echo, how):
        """Not one byte more gets through, and both ends see the end."""
        does = Behaviour(cut_at=1000, cut_how=how)
        with through(echo, timeout=10, upstream=does) as (client, served):
            client.sendall(bytes(5000))
            assert self._read(served) == 1000
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""

    def test_reset_is_one(self, echo):
        """The other end is told that something went wrong."""
        with through(echo, timeout=10, downstream=Behaviour(cut_at=1)) as (client, served):
            served.sendall(b"xy")
            with pytest.raises(ConnectionResetError):
                while client.recv(10):
                    pass

    def test_stalled_link_stands(self, echo):
        """Nothing comes any more, and nobody says so."""
        does = Behaviour(cut_at=10, cut_how=STALL)
        with through(echo, timeout=10, upstream=does) as (client, served):
            client.sendall(bytes(50))
            assert len(served.recv(100)) == 10
            served.sendall(b"unheard")
            for one in (client, served):
                one.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    one.recv(10)

    def _read(self, one):
        count = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := one.recv(4096):
                count += len(piece)
        return count


@contextlib.contextmanager
def through(listener, *, timeout, **behaviours):
    """Both ends of a connection through a link."""
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(Link(listener.getsockname()[1], **behaviours))
        client = stack.enter_context(
            socket.create_connection(("127.0.0.1", link.port), timeout=timeout)
        )
        served, _ = listener.accept()
        stack.enter_context(served)
        served.settimeout(timeout)
        yield client, served
