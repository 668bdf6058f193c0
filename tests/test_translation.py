# SPDX-License-Identifier: Apache-2.0
"""What the rooms are told of a configuration."""

import sys

import attrs
import pytest

from txregistry.config import ExternalDriver, NamedDriver, Storage, load_text
from txregistry.config.tracing_settings import Tracing
from txregistry.process.spec import StartError
from txregistry.process.supervision import Supervision
from txregistry.translation import (
    driver_spec,
    open_tracing,
    registry_options,
    supervision_of,
    web_settings,
)
from txregistry.web.settings import Limits, WebSettings


def configured(text):
    return load_text(
        "version: 0.1\nhttp: {addr: '127.0.0.1:0'}\nstorage: {inmemory: , " + text + "}", {}
    )


class TranslationTests:
    def test_defaults_of_the_configuration_are_those_of_the_web(self):
        """The same names and the same defaults, so that one can be made of the other."""
        configuration = configured("delete: ")
        assert Limits(**attrs.asdict(configuration.http.limits)) == Limits()
        assert web_settings(configuration, None) == WebSettings(redirect=True)

    def test_defaults_of_the_configuration_are_those_of_supervision(self):
        """A key that is changed reaches the driver's supervision under its own name."""
        assert supervision_of(configured("delete: ").storage) == Supervision()
        text = "supervision: {breakerdeaths: 50, deadlines: {close: 1s}}"
        told = supervision_of(configured(text).storage)
        assert (told.breaker_deaths, told.deadlines.close) == (50, 1.0)

    def test_web_is_told_of_what_concerns_it(self):
        configuration = load_text(
            "version: 0.1\n"
            "storage: {inmemory: , delete: {enabled: true}, redirect: {disable: true}, "
            "maintenance: {readonly: {enabled: true}}}\n"
            "http: {prefix: /r/, host: 'https://r.example', headers: {X-A: [b]}, "
            "trustedproxies: [10.0.0.1, unix], limits: {connections: 7}}\n"
            "catalog: {maxentries: 5}\n"
            "tags: {maxtags: 6}\n",
            {},
        )
        assert web_settings(configuration, print) == WebSettings(
            prefix="/r/",
            host="https://r.example",
            relative_urls=False,
            headers={"X-A": ("b",)},
            read_only=True,
            delete_enabled=True,
            redirect=False,
            catalog_maximum=5,
            tags_maximum=6,
            trusted_proxies=frozenset({"10.0.0.1", ""}),
            limits=Limits(connections=7),
            access_log=print,
        )

    @pytest.mark.parametrize(
        ("text", "name", "value"),
        [
            ("exclusive: true", "exclusive", True),
            ("bloblimit: 0", "blob_limit", None),
            ("bloblimit: 9", "blob_limit", 9),
            ("redirect: {disable: true}", "redirect_seconds", 0),
            ("redirect: ", "redirect_seconds", 1200),
        ],
    )
    def test_registry_is_told_of_what_concerns_it(self, text, name, value):
        assert getattr(registry_options(configured(text)), name) == value

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("{}", False),
            ("{disabled: true}", True),
            ("{manifests: {indexes: {platforms: none}}}", True),
        ],
    )
    def test_sparse_indexes_are_taken_if_validation_is_off(self, text, value):
        configuration = load_text(f"version: 0.1\nstorage: inmemory\nvalidation: {text}", {})
        assert registry_options(configuration).allow_sparse_indexes is value

    def test_references_are_synced_where_the_driver_does_not(self):
        for durability, value in (("strict", False), ("manifest", True), ("none", False)):
            configuration = load_text(
                f"version: 0.1\nstorage: {{filesystem: {{durability: {durability}}}}}", {}
            )
            assert registry_options(configuration).sync_references is value

    def test_external_driver_is_a_program_or_a_socket(self):
        spec = driver_spec(Storage(ExternalDriver(("/opt/d", "-v"), "", {"a": 1})))
        assert (spec.command, spec.socket, spec.options) == (("/opt/d", "-v"), None, {"a": 1})
        spec = driver_spec(Storage(ExternalDriver((), "/run/d.sock")))
        assert (spec.command, spec.socket) == (None, "/run/d.sock")

    def test_driver_that_is_not_installed_is_refused(self):
        with pytest.raises(StartError, match="there is no storage driver 'shelf'"):
            driver_spec(Storage(NamedDriver("shelf")))


class TracingTests:
    def test_nothing_is_traced_unless_it_was_asked_for(self, monkeypatch):
        """OpenTelemetry is not even loaded."""
        monkeypatch.setitem(sys.modules, "txregistry.tracing", None)
        assert open_tracing(Tracing()) is None

    def test_missing_package_is_one_sentence_with_the_way_out(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "txregistry.tracing", None)
        with pytest.raises(StartError, match=r"pip install 'txregistry\[otel\]'"):
            open_tracing(Tracing(endpoint="http://x/"))
