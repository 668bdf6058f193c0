# SPDX-License-Identifier: Apache-2.0
"""The storage section: one driver, whatever its form."""

import pytest

from txregistry.config import ExternalDriver, NamedDriver

from .reading import read, refusal


def driver_of(text, **options):
    return read(f"version: 0.1\nstorage: {text}", **options).storage.driver


def storage_refusal(text, **options):
    return refusal(f"version: 0.1\nstorage: {text}", **options)


class NamedDriverTests:
    @pytest.mark.parametrize("text", ["inmemory", "{inmemory: }", "{inmemory: {}}"])
    def test_bare_name_and_section_are_the_same(self, text):
        assert driver_of(text) == NamedDriver("inmemory", {})

    def test_filesystem_has_registry_3s_defaults(self):
        assert driver_of("filesystem").options == {
            "rootdirectory": "/var/lib/registry",
            "maxthreads": 100,
            "durability": "strict",
        }

    def test_relative_directory_is_below_the_working_directory(self):
        """The driver runs elsewhere, so it is given the whole path."""
        assert (
            driver_of("{filesystem: {rootdirectory: ./data/}}").options["rootdirectory"]
            == "/work/data"
        )

    def test_installed_driver_gets_its_options_as_they_are(self):
        driver = driver_of(
            "{shelf: {depth: 3, boards: [a, {b: c}], when: 2026-01-01}}", installed={"shelf"}
        )
        assert driver.options == {"depth": 3, "boards": ["a", {"b": "c"}], "when": "2026-01-01"}

    def test_description_names_the_place(self):
        assert driver_of("{filesystem: {rootdirectory: /srv}}").describe() == "filesystem /srv"
        assert driver_of("inmemory").describe() == "inmemory"


class ExternalDriverTests:
    def test_command_is_taken_with_its_options(self):
        driver = driver_of("{external: {command: [/opt/d, --flag], options: {bucket: x}}}")
        assert driver == ExternalDriver(("/opt/d", "--flag"), "", {"bucket": "x"})
        assert driver.describe() == "the driver /opt/d"

    def test_socket_is_taken(self):
        driver = driver_of("{external: {socket: /run/d.sock}}")
        assert driver == ExternalDriver((), "/run/d.sock", {})
        assert driver.describe() == "the driver at /run/d.sock"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "",
            "registry.yml, line 2: storage names no driver; add one, for example "
            "storage.filesystem.rootdirectory: "
            "/var/lib/registry",
        ),
        (
            "{delete: {enabled: true}}",
            "registry.yml, line 2: storage names no driver; add one, for example ",
        ),
        ("[inmemory]", "registry.yml, line 2: storage wants a section of keys, not a list of 1; "),
        (
            "{inmemory: , filesystem: }",
            "registry.yml, line 2: storage names 2 drivers, inmemory and filesystem; keep one; the variable ",
        ),
        (
            "{filesytem: {rootdirectory: /x}}",
            "registry.yml, line 2: storage.filesytem is neither an installed driver nor a known key; "
            "did you mean "
            "storage.filesystem?",
        ),
        (
            "{inmemory: , maintainance: {readonly: {enabled: true}}}",
            "registry.yml, line 2: storage.maintainance is neither an installed driver nor a known key; "
            "did you mean "
            "storage.maintenance?",
        ),
        (
            "{zzzzz: }",
            "registry.yml, line 2: storage.zzzzz is neither an installed driver nor a known key; install "
            "the driver's "
            "package, or name its program in storage.external",
        ),
        (
            "{filesystem: {rootdir: /x}}",
            "registry.yml, line 2: storage.filesystem.rootdir is not a known key; did you mean "
            "storage.filesystem.rootdirectory?",
        ),
        (
            "{filesystem: {maxthreads: 0}}",
            "storage.filesystem.maxthreads wants a whole number of at least 1, not '0'",
        ),
        (
            "{filesystem: {durability: sloppy}}",
            "storage.filesystem.durability wants one of strict, manifest, none, not 'sloppy'",
        ),
        (
            "{inmemory: {size: 1}}",
            "registry.yml, line 2: storage.inmemory.size is not a known key; remove it",
        ),
        (
            "{external: {}}",
            "registry.yml, line 2: storage.external names neither a command nor a socket; give command: "
            "[program, "
            "argument] to have the driver started, or socket: /path to attach to one",
        ),
        (
            "{external: {command: [/d], socket: /s}}",
            "registry.yml, line 2: storage.external names both a command and a socket; give command: ",
        ),
        (
            "{external: {socket: /s, options: {a: b}}}",
            "registry.yml, line 2: storage.external.options can't be handed to a driver on a socket; "
            "give that driver "
            "its options where it is started",
        ),
        (
            "{external: {command: /d --flag}}",
            "storage.external.command wants a list of texts, not '/d --flag'; ",
        ),
        (
            "{external: {command: []}}",
            "storage.external.command wants a list of texts, not a list of 0; ",
        ),
        (
            "{external: {comand: [/d]}}",
            "storage.external.comand is not a known key; did you mean storage.external.com",
        ),
    ],
)
def test_wrong_section_is_refused_in_one_sentence(text, sentence):
    assert sentence in storage_refusal(text)


def test_file_without_the_section_is_refused():
    """Unlike no file at all: whoever writes a file says where to store."""
    assert "storage names no driver" in refusal("version: 0.1\nhttp: {addr: ':5000'}")


def test_options_of_an_installed_driver_must_be_a_mapping():
    assert "storage.shelf wants a section of keys, not 'x'" in storage_refusal(
        "{shelf: x}", installed={"shelf"}
    )


def test_refusal_of_options_does_not_quote_them():
    assert "hunter2" not in storage_refusal("{external: {command: [/d], options: hunter2}}")
