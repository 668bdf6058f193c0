# SPDX-License-Identifier: Apache-2.0
"""What balancers are told, and the pages for those who run the registry."""

import json

import pytest

from txregistry.web import Pages

from .content import push_blob


class LivezTests:
    @pytest.mark.parametrize("prefix", ["/", "/reg/"])
    async def test_process_that_answers_is_alive(self, house, prefix):
        """Whatever fails, and wherever the registry is mounted."""
        house.serve(prefix=prefix, not_ready=lambda: ["storage"], is_closed=lambda: True)
        reply = await house.ask("GET", "/livez")
        assert (reply.status, json.loads(reply.body)) == (200, {"status": "alive"})
        assert (await house.ask("HEAD", "/livez")).status == 200


class ReadyzTests:
    @pytest.mark.parametrize("prefix", ["/", "/reg/"])
    async def test_host_that_may_be_sent_requests_is_ready(self, house, prefix):
        house.serve(prefix=prefix)
        reply = await house.ask("GET", "/readyz")
        assert (reply.status, json.loads(reply.body)) == (200, {"status": "ready"})
        assert reply.headers["cache-control"] == "no-store"

    async def test_trouble_is_told_by_its_kind(self, house):
        """Strangers learn no names of files, hosts or buckets."""
        house.serve(not_ready=lambda: ["storage", "file", "file"])
        reply = await house.ask("GET", "/readyz")
        assert reply.status == 503
        assert json.loads(reply.body) == {"status": "not ready", "failing": ["file", "storage"]}
        assert "retry-after" in reply.headers

    async def test_host_that_is_not_ready_goes_on_serving(self, house):
        house.serve(not_ready=lambda: ["storage"])
        await push_blob(house, "a", b"x")


class ClosedTests:
    async def test_every_request_is_refused_if_it_was_asked_for(self, house):
        """As registry:3 does, but for the probes."""
        closed = [True]
        house.serve(is_closed=lambda: closed[0])
        for path in ("/", "/v2/", "/v2/a/tags/list"):
            reply = await house.ask("GET", path)
            assert (reply.status, reply.code) == (503, "UNAVAILABLE")
        assert (await house.ask("GET", "/livez")).status == 200
        assert (await house.ask("GET", "/readyz")).status == 200
        closed[0] = False
        assert (await house.ask("GET", "/v2/")).status == 200


class DebugTests:
    """The port for those who run the registry."""

    def serve(self, house, problems=None, **pages):
        async def stacks():
            return "thread A\n"

        return house.serve(
            pages=Pages(
                problems=lambda: problems or {},
                variables=lambda: {"version": "1", "odd": {1}},
                stacks=stacks,
                **pages,
            )
        )

    async def test_health_is_a_map_of_what_fails(self, house):
        """As in registry:3."""
        self.serve(house)
        reply = await house.ask("GET", "/debug/health")
        assert (reply.status, json.loads(reply.body)) == (200, {})
        self.serve(house, {"storagedriver_s3": "it is gone"})
        reply = await house.ask("GET", "/debug/health")
        assert (reply.status, json.loads(reply.body)) == (503, {"storagedriver_s3": "it is gone"})

    async def test_readiness_says_everything(self, house):
        self.serve(house, {"storagedriver_s3": "it is gone"})
        reply = await house.ask("GET", "/readyz")
        assert reply.status == 503
        assert json.loads(reply.body)["failing"] == {"storagedriver_s3": "it is gone"}
        assert (await house.ask("GET", "/livez")).status == 200

    async def test_variables_are_json_whatever_they_are(self, house):
        self.serve(house)
        document = json.loads((await house.ask("GET", "/debug/vars")).body)
        assert document["version"] == "1"

    async def test_stacks_are_text(self, house):
        self.serve(house)
        reply = await house.ask("GET", "/debug/stacks")
        assert (reply.headers["content-type"], reply.body) == (
            "text/plain; charset=utf-8",
            b"thread A\n",
        )

    async def test_metrics_have_the_form_that_is_asked_for(self, house):
        async def metrics(accept):
            return f"text/{accept}", b"m 1\n"

        self.serve(house, metrics=metrics, metrics_path="/a/metrics")
        reply = await house.ask("GET", "/a/metrics", headers=["Accept: x"])
        assert (reply.status, reply.headers["content-type"], reply.body) == (
            200,
            "text/x",
            b"m 1\n",
        )

    @pytest.mark.parametrize("path", ["/metrics", "/v2/", "/", "/debug", "/debug/pprof/heap"])
    async def test_nothing_else_is_there(self, house, path):
        """The registry itself least of all."""
        self.serve(house)
        assert (await house.ask("GET", path)).status == 404

    async def test_nothing_is_changed_there(self, house):
        self.serve(house)
        assert (await house.ask("POST", "/debug/health", body=b"x")).status == 405
