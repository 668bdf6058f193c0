# SPDX-License-Identifier: Apache-2.0
"""A registry that runs, looked at through its debug port; and what it says when it is asked to."""

from __future__ import annotations

import gzip
import signal
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from .client import Client
from .fronts import DebugPort
from .repository import Repository
from .servers import START_TIMEOUT, Registry
from .taking import Taker


class Collector(Taker):
    """Takes spans as a collector of OpenTelemetry does.

    Attributes:
        spans: that came.
        headers: of the requests that brought them.
    """

    def __init__(self):
        self.spans = []
        self.headers = []
        super().__init__(self._took, "/v1/traces")

    def _took(self, headers, body):
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        self.headers.append(headers)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans


class Watched:
    """A registry with a debug port.

    Attributes:
        client: of the debug port.
    """

    def __init__(self, directory, storage=None, **configuration):
        self.debug = DebugPort()
        self.flag = directory / "maintenance"
        self.server = Registry(
            directory,
            {
                "http": {"debug": {"addr": self.debug.address, "prometheus": {"enabled": True}}},
                "health": {
                    "storagedriver": {"enabled": True, "interval": "50ms"},
                    "file": [{"file": str(self.flag), "interval": "50ms"}],
                },
                **configuration,
            },
            storage,
        )
        self.client = Client(self.debug)

    def metrics(self):
        """(name, labels) -> value of everything that is exposed."""
        text = self.client.get("/metrics").body.decode()
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def until(self, condition):
        """Ask again until something holds that no event tells of."""
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, self.server.log.read_text()[-4000:]
            time.sleep(0.02)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    watched = Watched(tmp_path_factory.mktemp("watched"))
    with watched.server:
        yield watched


def test_requests_and_storage_are_counted(watched):
    client = Client(watched.server)
    repository = Repository(client, "lib/app")
    digest = repository.push_blob(b"content")
    assert client.get(repository.blob(digest)).status == 200
    assert client.get(repository.manifest("none")).status == 404
    metrics = watched.metrics()
    assert metrics["registry_http_requests_total", "200", "blob", "get"] == 1
    assert metrics["registry_http_requests_total", "404", "get", "manifest"] == 1
    assert metrics["registry_http_refusals_total", "MANIFEST_UNKNOWN"] == 1
    assert metrics["registry_storage_action_seconds_count", "PutContent", "filesystem"] >= 2
    assert metrics["registry_driver_up", "filesystem"] == 1
    assert metrics["registry_driver_command_seconds_count", "Put", "filesystem"] >= 2
    assert metrics["registry_storage_cache_requests_total", "blobs"] == 1
    assert metrics["registry_upload_sessions_open",] == 0
    assert metrics["registry_ready",] == 1
    assert metrics["process_resident_memory_bytes",] > 1e6
    assert b"lib/app" not in watched.client.get("/metrics").body


def test_drivers_process_tells_of_itself(watched):
    """One scrape has both processes."""
    watched.until(lambda: ("registry_driver_resident_bytes", "filesystem") in watched.metrics())
    metrics = watched.metrics()
    assert metrics["registry_driver_resident_bytes", "filesystem"] > 1e6
    assert metrics["registry_driver_open_descriptors", "filesystem"] > 3
    assert metrics["registry_driver_command_seconds_count", "Ping", "filesystem"] >= 1
    assert metrics["registry_replay_window_limit_bytes", "filesystem"] > 0


def test_open_uploads_are_counted_until_they_end(watched):
    client = Client(watched.server)
    location = client.start_upload("lib/app")
    assert watched.metrics()["registry_upload_sessions_open",] == 1
    assert client.delete(location).status == 204
    assert watched.metrics()["registry_upload_sessions_open",] == 0


def test_file_takes_the_host_out_of_service_and_not_the_registry(watched):
    client = Client(watched.server)
    watched.until(lambda: client.get("/readyz").status == 200)
    watched.flag.touch()
    watched.until(lambda: client.get("/readyz").status == 503)
    assert client.get("/readyz").json()["failing"] == ["file"]
    assert watched.client.get("/debug/health").json() == {str(watched.flag): "the file exists"}
    assert watched.metrics()["registry_health_failing", str(watched.flag), "file"] == 1
    assert client.get("/v2/").status == 200
    watched.flag.unlink()
    watched.until(lambda: client.get("/readyz").status == 200)


def test_driver_that_was_killed_is_told_of_and_comes_back(watched):
    client = Client(watched.server)
    deaths = watched.metrics()["registry_driver_deaths_total", "filesystem"]
    assert watched.server.kill_driver()
    watched.until(
        lambda: watched.metrics()["registry_driver_deaths_total", "filesystem"] == deaths + 1
    )
    watched.until(lambda: watched.metrics()["registry_driver_up", "filesystem"] == 1)
    watched.until(lambda: client.get("/readyz").status == 200)
    variables = watched.client.get("/debug/vars").json()
    assert variables["driver"]["state"] == "ready"
    assert variables["driver"]["deaths"] == deaths + 1


def test_quit_signal_shows_the_stacks_and_ends_nothing(watched):
    """Of the registry and of the driver, to which a terminal sends it too."""
    watched.server.process.send_signal(signal.SIGQUIT)
    watched.server.wait_for_log("requests that are being answered: ")
    watched.server.wait_for_log("most recent call first")
    assert Client(watched.server).get("/v2/").status == 200
    assert watched.client.get("/debug/stacks").body.startswith(b"requests that are being")


def test_registry_that_starts_says_so_before_it_serves(tmp_path):
    """A driver that does not come up yet is seen on the debug port."""
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    watched = Watched(tmp_path, {"external": {"command": [str(slow)]}})
    try:
        watched.server.launch()
        watched.until(lambda: _answers(watched.client))
        reply = watched.client.get("/readyz")
        assert reply.status == 503
        assert "storagedriver_external" in reply.json()["failing"]
        assert watched.client.get("/livez").status == 200
    finally:
        watched.server.kill()


def test_trace_goes_from_the_client_into_the_drivers_process(tmp_path):
    """What a person sees in the end: one trace, through two processes of ours."""
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with Collector() as collector:
        server = Registry(
            tmp_path,
            {
                "tracing": {"endpoint": collector.url, "headers": {"X-Key": ["hunter2"]}},
                "http": {"trustedproxies": ["127.0.0.1"]},
            },
        )
        with server:
            client = Client(server)
            repository = Repository(client, "lib/app")
            digest = repository.push_blob(b"content")
            headers = {"traceparent": f"00-{trace}-{parent}-01"}
            reply = client.get(repository.blob(digest), headers)
            assert reply.status == 200
        # Its end sends what has not been sent.
        spans = [span for span in collector.spans if span.trace_id.hex() == trace]
    by_id = {span.span_id: span for span in spans}
    [request] = [span for span in spans if span.name == "GET blob"]
    assert request.parent_span_id.hex() == parent
    inside = [span for span in spans if span.name == "driver filesystem"]
    assert inside
    for span in inside:
        call = by_id[span.parent_span_id]
        assert call.name.startswith("storage ")
        assert call.parent_span_id == request.span_id
    assert all(headers["X-Key"] == "hunter2" for headers in collector.headers)
    assert "hunter2" not in server.log.read_text()


def _answers(client):
    try:
        return client.get("/livez").status == 200
    except OSError:
        return False
