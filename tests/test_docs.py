# SPDX-License-Identifier: Apache-2.0
"""The documents say what the code does: every key with its type and default, every file that is
linked.
"""

import re
from pathlib import Path

import pytest
import yaml

from txregistry.config import installed_drivers, load_text
from txregistry.config.durations import parse_duration
from txregistry.config.foreign import FOREIGN
from txregistry.config.rows import rows
from txregistry.config.settings import SHIPPED_DRIVERS, Configuration, ExternalDriver, Storage

ROOT = Path(__file__).resolve().parent.parent
CONFIGURE = (ROOT / "docs" / "configure.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md"))
#: How examples begin that are other programs' files.
OF_OTHERS = ("# of Prometheus\n", "livenessProbe:")
ROW = re.compile(r"^\| `([a-z0-9.]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def leaves(shape, above):
    for name, row in rows(shape).items():
        below = row.metadata.get("section") or row.metadata.get("sections")
        if below is not None:
            yield from leaves(below, f"{above}{name}.")
        else:
            yield above + name, row.metadata["kind"], row.default


def all_keys():
    yield from leaves(Configuration, "")
    yield from leaves(Storage, "storage.")
    yield from leaves(ExternalDriver, "storage.external.")
    yield from leaves(SHIPPED_DRIVERS["filesystem"], "storage.filesystem.")


def test_every_key_is_described_once():
    described = [match[1] for match in ROW.finditer(CONFIGURE)]
    assert sorted(described) == sorted(path for path, _, _ in all_keys())


@pytest.mark.parametrize(
    ("path", "kind", "default"),
    list(all_keys()),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_description_has_the_type_and_the_default(path, kind, default):
    expects, shown = next(
        (match[2], match[3]) for match in ROW.finditer(CONFIGURE) if match[1] == path
    )
    assert expects == kind.expects.removesuffix(
        ' such as "90s" or "1h30m" (a bare number is nanoseconds)'
    )
    if path == "storage.tag.concurrencylimit":
        return
    if not default and not isinstance(default, (bool, int, float)):
        assert shown == "none"
    elif "duration" in expects:
        assert parse_duration(shown.strip("`")) == default
    else:
        assert yaml.safe_load(shown.strip("`")) == default


def test_refused_keys_are_named():
    for path in FOREIGN:
        if path != "storage.cache.layerinfo":  # harmless where it occurs
            assert f"`{path}`" in CONFIGURE


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if "```yaml" in path.read_text(encoding="utf-8")],
    ids=lambda path: path.name,
)
def test_configuration_that_is_shown_works(document):
    """Whoever copies an example has a configuration that starts."""
    text = document.read_text(encoding="utf-8")
    for example in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        if not example.startswith(OF_OTHERS):
            installed = installed_drivers() | {"sqlite"}
            assert load_text(example, {}, installed=installed).warnings == ()


def test_every_document_is_in_the_readme():
    """Whoever begins at the README finds the rest; decisions are one link."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for document in DOCUMENTS:
        name = document.relative_to(ROOT).as_posix()
        if name != "README.md" and not name.startswith("docs/decisions/"):
            assert f"]({name})" in text, name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_linked_file_is_there(document):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_linked_heading_is_there(document):
    for target, anchor in re.findall(
        r"\]\(([^)#:]*)#([^)]+)\)", document.read_text(encoding="utf-8")
    ):
        text = (document.parent / target if target else document).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]
        assert anchor in anchors, f"{document.name}: {target}#{anchor}"
