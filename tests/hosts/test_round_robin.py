# SPDX-License-Identifier: Apache-2.0
"""nginx gives each request to the next of two registries on one bucket; nobody notices."""

from __future__ import annotations

import concurrent.futures
import itertools
import threading
from pathlib import Path

from ..functional.client import Client
from ..functional.test_check import check
from ..functional.test_proxies import Nginx
from . import IS_LONG
from .images import Image, sha256

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/many-hosts/nginx.conf"

#: Images that are pushed.
PUSHES = 200 if IS_LONG else 6

#: Clients at once.
CLIENTS = 4


def nginx_before(hosts, directory):
    places = {f"registry-{number}:5000": host.address for number, host in enumerate(hosts, 1)}
    return Nginx(directory / "nginx", EXAMPLE.read_text(), places)


class RoundRobinTests:
    def test_images_pushed_through_both_are_pulled_from_each(self, pair, tmp_path):
        """Every one is there whole, in both hosts' lists, and the check finds nothing."""
        images = [Image.random(number) for number in range(PUSHES)]
        threads = concurrent.futures.ThreadPoolExecutor(CLIENTS)
        with nginx_before(pair, tmp_path) as nginx, threads:
            list(threads.map(lambda image: image.push(nginx), images))
            for host in pair:
                list(threads.map(lambda image, host=host: image.check(host), images))
        listings = [listing(host) for host in pair]
        assert listings[0] == listings[1]
        assert sorted(listings[0]) == sorted((image.repository, image.tag) for image in images)
        status, document, _ = check(pair[0], "--read-data", "--strict")
        assert (status, document["findings"]) == (0, [])
        assert document["checked"]["manifests"] == PUSHES
        print(f"{PUSHES} pushes, each pulled from both; checked: {document['checked']}")

    def test_one_session_at_two_pair_at_once(self, pair):
        """Of two that append at one offset one goes on; what is finished is one's whole data."""
        for _ in range(3):
            bodies = [bytes([65 + number]) * 400_000 for number in range(2)]
            location = Client(pair[0]).start_upload("race/app")
            barrier = threading.Barrier(2)

            def append(host, body, location=location, barrier=barrier):
                barrier.wait()
                kind = {"Content-Type": "application/octet-stream"}
                return Client(host).request("PATCH", location, body, kind)

            with concurrent.futures.ThreadPoolExecutor() as threads:
                answers = list(threads.map(append, pair, bodies))
            statuses = [answer.status for answer in answers]
            assert sorted(statuses) in ([202, 416], [202, 503]), statuses
            winner = statuses.index(202)
            # Both hosts tell the same, and what is finished is the whole of what one has sent.
            told = [Client(host).request("GET", location).headers["Range"] for host in pair]
            assert told == ["0-399999"] * 2
            client = Client(pair[1 - winner])
            onward = client.here(answers[winner].headers["Location"])
            assert client.put(f"{onward}&digest={sha256(bodies[1 - winner])}").status == 400
            client.finish_upload(onward, sha256(bodies[winner]))
            path = f"/v2/race/app/blobs/{sha256(bodies[winner])}"
            assert Client(pair[winner]).get(path).body == bodies[winner]

    def test_a_host_that_dies_is_passed_by(self, pair, tmp_path):
        """kill -9 of one of two: an upload that it had begun is finished by the other."""
        data = b"x" * 100_000
        with nginx_before(pair, tmp_path) as nginx:
            client = Client(nginx)
            location = client.patch(client.start_upload("team/app"), data[:50_000])
            pair[0].kill()
            # A connection that is refused is tried at the next one; nothing had been sent.
            client.finish_upload(location, sha256(data), data[50_000:])
            for _ in range(3):
                assert client.get(f"/v2/team/app/blobs/{sha256(data)}").body == data
        pair[0].start()


def listing(host):
    """Every tag that a host lists."""
    client = Client(host)
    pages = itertools.chain.from_iterable(
        page["repositories"] for page in client.pages("/v2/_catalog?n=2")
    )
    return [
        (name, tag) for name in pages for tag in client.get_json(f"/v2/{name}/tags/list")["tags"]
    ]
