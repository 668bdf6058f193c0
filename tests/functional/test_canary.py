# SPDX-License-Identifier: Apache-2.0
"""No secret is shown by anything that a running registry says, writes to a log, or is started with.

Each place that takes a secret has a word of its own planted in it; then the registry lives through
what makes programs talkative: refusals, failed deliveries, a killed driver, a dump of its stacks, a
reload, a start that is refused. What is looked through: the log at its most verbose, the access
log, every page of the debug port, every answer, and the arguments and environment of each process.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest

from .client import Client
from .repository import Repository
from .servers import SECRET, Registry, free_port
from .test_observed import Watched

#: Where -> what was planted there. No word is a part of another, nor of anything else.
SECRETS = {
    place: f"canary{number}x{os.urandom(6).hex()}"
    for number, place in enumerate(
        (
            "storage.external.options",
            "health.http.headers",
            "health.http.uri query",
            "notifications.endpoints.url user",
            "notifications.endpoints.url query",
            "notifications.endpoints.headers",
            "notifications.endpoints.secret",
            "tracing.headers",
            "a password",
            "a wrong password",
            "a bearer token",
            "a cookie",
            "a query",
        )
    )
}

SECRETS["http.secret"] = SECRET

DRIVER = """\
from txregistry.driver import main
from txregistry_drivers.memory import create

def create_with(options):
    assert options["secretkey"]
    return create({})

main(create_with)
"""


def shown(words):
    """Which secrets are in it, in clear or as base64 has them."""
    data = words if isinstance(words, bytes) else words.encode()
    return [
        place
        for place, secret in SECRETS.items()
        if secret.encode() in data or base64.b64encode(secret.encode()).rstrip(b"=")[2:-2] in data
    ]


def processes(server):
    """What can be read of each process without asking it."""
    for pid in server.tree():
        for name in ("cmdline", "environ"):
            yield f"{pid} {name}", Path(f"/proc/{pid}/{name}").read_bytes()


@pytest.fixture(scope="module")
def talkative(tmp_path_factory):
    """A registry that has been through a lot, and every answer that was got meanwhile."""
    directory = tmp_path_factory.mktemp("canary")
    (directory / "driver.py").write_text(DRIVER)
    hashed = bcrypt.hashpw(SECRETS["a password"].encode(), bcrypt.gensalt(4)).decode()
    (directory / "htpasswd").write_text(f"alice:{hashed}\n")
    nobody = free_port()
    watched = Watched(
        directory,
        {
            "external": {
                "command": [sys.executable, str(directory / "driver.py")],
                "options": {"secretkey": SECRETS["storage.external.options"]},
            },
            "delete": {"enabled": True},
        },
        **{
            "log": {
                "level": "debug",
                "formatter": "json",
                "accesslog": {"disabled": False, "formatter": "json"},
            },
            "auth": {"htpasswd": {"realm": "r", "path": str(directory / "htpasswd")}},
            "health": {
                "http": [
                    {
                        "uri": f"http://127.0.0.1:{nobody}/?k={SECRETS['health.http.uri query']}",
                        "headers": {"Authorization": [SECRETS["health.http.headers"]]},
                        "interval": "50ms",
                    }
                ]
            },
            "notifications": {
                "queue": {"directory": str(directory / "events")},
                "endpoints": [
                    {
                        "name": "hook",
                        "url": f"http://u:{SECRETS['notifications.endpoints.url user']}"
                        f"@127.0.0.1:{nobody}/?k={SECRETS['notifications.endpoints.url query']}",
                        "headers": {"Authorization": [SECRETS["notifications.endpoints.headers"]]},
                        "secret": SECRETS["notifications.endpoints.secret"],
                        "threshold": 1,
                        "backoff": "50ms",
                    }
                ],
            },
            "tracing": {
                "endpoint": f"http://127.0.0.1:{nobody}/v1/traces",
                "headers": {"X-Key": [SECRETS["tracing.headers"]]},
            },
        },
    )
    with watched.server:
        answers = list(live(watched))
        yield watched, answers


def live(watched):
    """Go through what makes programs talkative; gives all answers."""
    server = watched.server
    client = Client(server)
    login = base64.b64encode(b"alice:" + SECRETS["a password"].encode()).decode()
    wrong = base64.b64encode(b"alice:" + SECRETS["a wrong password"].encode()).decode()
    right = {"Authorization": f"Basic {login}"}
    for headers in (
        right,
        {},
        {"Authorization": f"Basic {wrong}"},
        {"Authorization": f"Bearer {SECRETS['a bearer token']}"},
        {**right, "Cookie": f"session={SECRETS['a cookie']}"},
    ):
        for path in ("/v2/", "/v2/a/manifests/none", f"/v2/_catalog?n={SECRETS['a query']}"):
            yield client.get(path, headers)
    login_client = Logged(server, right)
    repository = Repository(login_client, "lib/app")
    digest = repository.push_blob(b"content")
    yield login_client.get(repository.blob(digest))
    location = repository.start()
    yield login_client.get(location.replace("_state=", f"_state={SECRETS['a query']}"))
    assert server.kill_driver()
    yield login_client.get(repository.blob(digest))
    server.process.send_signal(signal.SIGQUIT)
    server.wait_for_log("requests that are being answered")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("health check")
    watched.until(
        lambda: (
            watched.metrics().get(("registry_notifications_events_total", "Failures", "hook"))
            or watched.metrics().get(("registry_notifications_events_total", "hook", "Failures"))
        )
    )


class Logged(Client):
    """A client that is logged in."""

    def __init__(self, server, headers):
        super().__init__(server)
        self._always = headers

    def request(self, method, path, body=None, headers=None):
        return super().request(method, path, body, {**self._always, **(headers or {})})


def test_planted_words_would_be_found():
    """The test itself can fail."""
    for place, secret in SECRETS.items():
        assert shown(f"x{secret}y") == [place]
        for before in ("", "a", "ab"):
            assert shown(base64.b64encode((before + secret).encode())) in ([place], [])
    assert shown("nothing") == []


def test_log_and_access_log_show_none(talkative):
    watched, _ = talkative
    text = watched.server.log.read_text()
    assert '"msg": "response completed"' in text
    assert shown(text) == []


def test_answers_show_none(talkative):
    _, answers = talkative
    assert {answer.status for answer in answers} >= {200, 401, 404}
    for answer in answers:
        found = shown(bytes(answer.headers) + answer.body)
        assert set(found) <= {"a query"}  # who asked wrongly is told what he asked


@pytest.mark.parametrize(
    "path", ["/metrics", "/debug/vars", "/debug/health", "/debug/stacks", "/readyz", "/none"]
)
def test_pages_show_none(talkative, path):
    watched, _ = talkative
    answer = watched.client.get(path)
    assert answer.body
    assert shown(bytes(answer.headers) + answer.body) == []


def test_arguments_and_environments_show_none(talkative):
    """Everybody on the host can list them."""
    watched, _ = talkative
    found = list(processes(watched.server))
    assert len(found) >= 4
    for what, data in found:
        assert shown(data) == [], what


def test_secret_of_a_variable_is_kept_from_the_driver(tmp_path):
    """The operator's own environment is his; what is started below has no use for it."""
    server = Registry(tmp_path)
    server.environment = {**os.environ, "REGISTRY_HTTP_SECRET": SECRETS["a query"]}
    with server:
        for pid in server.tree()[1:]:
            assert shown(Path(f"/proc/{pid}/environ").read_bytes()) == []


@pytest.mark.parametrize(
    ("command", "spoilt"),
    [
        (("serve", "--config"), "nonsense: 1"),
        (("config", "check"), "http: {secret: ["),
        (("config", "show"), "storage: {filesystem: }"),
    ],
    ids=lambda value: value[0],
)
def test_start_that_is_refused_shows_none(talkative, command, spoilt, tmp_path):
    """Of a configuration that is full of them."""
    watched, _ = talkative
    broken = tmp_path / "broken.yml"
    broken.write_text(watched.server.configuration.read_text() + spoilt + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "txregistry.cli", *command, str(broken)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode
    assert shown(done.stdout + done.stderr) == []


def test_configuration_that_is_shown_shows_none(talkative):
    watched, _ = talkative
    done = subprocess.run(
        [
            *(sys.executable, "-m", "txregistry.cli"),
            *("config", "show", str(watched.server.configuration)),
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert b"notifications" in done.stdout
    assert set(shown(done.stdout)) <= {"health.http.uri query"}
