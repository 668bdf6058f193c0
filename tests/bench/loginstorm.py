# SPDX-License-Identifier: Apache-2.0
"""What a storm of bad passwords costs those who pull: ``make loginstorm``.

    round 1   calm: pulls for some seconds      storm: the same, beside 200 clients that guess
    round 2   calm ...                          storm ...

Pulls come at a steady rate, each with a name and a password, so that none waits for another.
Who guesses is a process of its own, from many addresses, each time with another password; a client
guesses again about a second after it was answered, or at once (``--pause 0``). The table has each round,
and the ratio whose median is judged: p99 in the storm by p99 in the calm before it.

Also: what a wrong password takes beside an unknown name, 200 of each.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import bcrypt

from ..functional.servers import Registry
from ..web.content import EMPTY_CONFIG, OCI_MANIFEST, digest_of, manifest

#: Clients that guess, and addresses that they come from.
GUESSERS, ADDRESSES = 200, 50
#: Clients that pull, and seconds between two pulls of one.
PULLERS, PERIOD = 4, 0.02
COST = 10
LAYER = os.urandom(4096)
SAMPLES = 200

#: What the median ratio may be.
LIMIT = 2.0


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


ALICE = {"Authorization": basic("alice", "secret")}


# --- those who guess


async def _guess(number, port, until, pause, counts):
    source = f"127.0.2.{number % ADDRESSES + 1}"
    turn = 0
    # They know nothing of one another, so they do not keep step.
    await asyncio.sleep(random.random() * pause)
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        try:
            while time.monotonic() < until:
                turn += 1
                line = basic(f"user{number}", f"guess{turn}")
                writer.write(
                    f"GET /v2/ HTTP/1.1\r\nHost: h\r\nAuthorization: {line}\r\n\r\n".encode()
                )
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = head.partition("content-length: ")[2].partition("\r\n")[0]
                await reader.readexactly(int(length))
                status = head.split(" ", 2)[1]
                counts[status] = counts.get(status, 0) + 1
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        except (ConnectionError, asyncio.IncompleteReadError):
            counts["closed"] = counts.get("closed", 0) + 1
        finally:
            writer.close()


async def _storm(port, seconds, pause):
    counts = {}
    until = time.monotonic() + seconds
    print("begun", flush=True)
    await asyncio.gather(
        *(_guess(number, port, until, pause, counts) for number in range(GUESSERS))
    )
    print(json.dumps(counts), flush=True)


# --- those who pull


def _pull(port, until, taken):
    """Pull a manifest and a blob in turn, at a steady rate; note what each takes."""
    targets = ("/v2/a/manifests/latest", f"/v2/a/blobs/{digest_of(LAYER)}")
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        due, turn = time.monotonic(), 0
        while due < until:
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            connection.request("GET", targets[turn % 2], headers=ALICE)
            response = connection.getresponse()
            response.read()
            taken.append(time.monotonic() - began)
            assert response.status == 200, response.status
            due, turn = max(due + PERIOD, time.monotonic()), turn + 1


def pulls(port, seconds):
    """Seconds that each pull took, sorted."""
    taken: list[float] = []
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=_pull, args=(port, until, taken)) for _ in range(PULLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(taken)


def quantile(taken, part):
    return taken[min(len(taken) - 1, int(len(taken) * part))] * 1000


# --- rounds


def serve(directory):
    """A server with one name, an image, and all limits as they are by default."""
    users = Path(directory) / "htpasswd"
    users.write_text(f"alice:{bcrypt.hashpw(b'secret', bcrypt.gensalt(COST)).decode()}\n")
    users.chmod(0o600)
    auth = {"htpasswd": {"realm": "R", "path": str(users)}}
    limits = {"connectionsperaddress": 2 * GUESSERS}
    return Registry(directory, {"auth": auth, "http": {"limits": limits}})


def fill(port):
    """Push the image that is pulled."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:

        def ask(method, target, body, **headers):
            connection.request(method, target, body, {**ALICE, **headers})
            response = connection.getresponse()
            response.read()
            assert response.status == 201, response.status

        for blob in (EMPTY_CONFIG, LAYER):
            ask("POST", f"/v2/a/blobs/uploads/?digest={digest_of(blob)}", blob)
        ask("PUT", "/v2/a/manifests/latest", manifest(LAYER), **{"Content-Type": OCI_MANIFEST})


def take_round(port, seconds, pause):
    """p50 and p99 of a calm and of a storm, ms, and how the guesses were answered."""
    calm = pulls(port, seconds)
    command = [sys.executable, "-m", "tests.bench.loginstorm", "--storm", f"{port}"]
    command += ["--seconds", f"{seconds + 1}", "--pause", f"{pause}"]
    # In a session of its own: it is not from here, and takes no time that is ours.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as storm:
        assert storm.stdout.readline() == "begun\n"
        stormy = pulls(port, seconds)
        counts = json.loads(storm.stdout.readline())
    figures = [quantile(taken, part) for taken in (calm, stormy) for part in (0.5, 0.99)]
    return figures, counts


def timing(port):
    """Median ms of a wrong password of a name that is there, and of one that is not."""
    found = []
    for name in ("alice", "nobody"):
        taken = []
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            for turn in range(SAMPLES):
                connection.request("GET", "/v2/", headers={"Authorization": basic(name, turn)})
                began = time.monotonic()
                connection.getresponse().read()
                taken.append(time.monotonic() - began)
        found.append(statistics.median(taken) * 1000)
    return found


def report(rounds, seconds, pause):
    """Print the table; returns the median ratio."""
    ratios = []
    print(
        "| round | calm p50 | calm p99 | storm p50 | storm p99 | ratio of p99 | guesses answered |"
    )
    print("|--:|--:|--:|--:|--:|--:|---|")
    with tempfile.TemporaryDirectory() as directory, serve(directory) as server:
        fill(server.port)
        pulls(server.port, 1)
        for number in range(1, rounds + 1):
            (p50, p99, storm50, storm99), counts = take_round(server.port, seconds, pause)
            ratios.append(storm99 / p99)
            cells = [f"{each:.1f} ms" for each in (p50, p99, storm50, storm99)]
            told = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))
            print(f"| {number} | {' | '.join(cells)} | {ratios[-1]:.2f} | {told} |", flush=True)
    median = statistics.median(ratios)
    print(f"\nMedian ratio of p99: {median:.2f} (at most {LIMIT:g}).", flush=True)
    return median


def compare(directory):
    """Print what the two kinds of a wrong login take."""
    server = serve(directory)
    server.reconfigure({"auth": {"failures": {"peraddress": 0, "peruser": 0}}})
    with server:
        wrong, unknown = timing(server.port)
    print(f"Wrong password: {wrong:.1f} ms, unknown name: {unknown:.1f} ms (medians of {SAMPLES}).")


def main(arguments):
    parser = argparse.ArgumentParser(prog="loginstorm", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each calm and each storm")
    parser.add_argument("--pause", type=float, default=1.0, help="of a client between two guesses")
    parser.add_argument("--storm", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.storm is not None:
        asyncio.run(_storm(options.storm, options.seconds, options.pause))
        return 0
    median = report(options.rounds, options.seconds, options.pause)
    with tempfile.TemporaryDirectory() as directory:
        compare(directory)
    return 0 if median <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
