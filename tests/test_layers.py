# SPDX-License-Identifier: Apache-2.0
"""The import rule: which room may import which, and the few libraries that belong to one room
alone.

The tables below are the rule; ``txregistry/__init__.py`` says it in words.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: room -> the rooms of ours that it may import beside itself. A module below ``txregistry`` is a
#: room too.
ROOMS = {
    "oci": set(),
    "storage": {"oci"},
    "ipc": {"errand", "oci", "storage"},
    "middleware": {"oci", "storage"},
    "process": {"oci", "storage", "ipc", "middleware", "upkeep"},
    "registry": {"oci", "storage"},
    "redis_cache": {"oci", "outgoing"},
    "outgoing": set(),
    "auth": {"oci"},
    "identify": {"oci", "storage", "auth", "outgoing"},
    "admin": {"oci", "storage", "registry"},
    "web": {"oci", "storage", "registry", "auth", "errand"},
    "events": {"oci", "storage", "registry", "errand", "outgoing"},
    "config": set(),
    "errand": set(),
    "health": {"storage", "upkeep", "outgoing"},
    "fronts": {"config", "process"},
    "sharing": {
        *("authentication", "config", "errand", "events", "fronts", "health", "metrics", "oci"),
    },
    "own_front": {
        *("authentication", "challenges", "config", "errand", "metrics", "oci", "ports"),
        *("process", "registry", "storage", "translation", "watching", "web"),
    },
    "front": {"config", "errand", "metrics", "oci", "registry"},
    "front_end": {
        *("access_log", "config", "events", "fronts", "health", "notifying", "oci", "process"),
        *("registry", "service", "serving", "stacks", "storage", "systemd", "telemetry"),
        "translation",
    },
    "listening": {"config"},
    "tracing": {"errand", "storage"},
    "metrics": {"errand", "events", "process", "storage", "web"},
    "stacks": {"errand"},
    "checking": {"config", "health", "storage"},
    "debug_port": {"config", "listening", "web"},
    "watching": {
        *("checking", "config", "debug_port", "events", "front", "health", "metrics"),
        *("process", "stacks", "storage", "translation", "web"),
    },
    "challenges": set(),
    "purging": {"config", "oci", "registry", "storage", "upkeep"},
    "reloading": {"config"},
    "systemd": set(),
    "tls": {"config", "web"},
    "ports": {"config", "listening", "systemd", "tls"},
    "upkeep": set(),
    "telemetry": {"config", "errand"},
    "access_log": {"config", "telemetry", "web"},
    "authentication": {"auth", "config", "identify", "oci", "process", "upkeep"},
    "notifying": {"config", "events", "process", "registry"},
    "translation": {
        *("auth", "config", "ipc", "process", "redis_cache", "registry", "storage", "tracing"),
        "web",
    },
    "token_key": {"config", "process", "registry", "storage", "translation"},
    "service": {
        *("authentication", "config", "events", "front", "fronts", "listening", "notifying"),
        *("own_front", "ports", "process", "purging", "registry", "reloading", "sharing"),
        *("systemd", "tls", "token_key", "translation", "upkeep", "watching", "web"),
    },
    "serving": {"access_log", "config", "process", "service", "stacks", "systemd", "telemetry"},
    "oneshot": {"config", "process", "translation", "serving"},
    "drivertest": {"config", "oneshot", "process", "storage"},
    "tap": {
        "access_log",
        "config",
        "fronts",
        "process",
        "service",
        "serving",
        "stacks",
        "systemd",
        "telemetry",
    },
    "maintenance": {
        "admin",
        "config",
        "oneshot",
        "process",
        "registry",
        "translation",
        "serving",
        "storage",
    },
    "cli": {"authentication", "config", "drivertest", "maintenance", "process", "serving", "tls"},
    "driver": {"oci", "storage", "ipc", "process"},
    "drivers": {"driver"},
    "plugin": set(),
}

#: The package below ``drivers`` that is no driver: what drivers for object stores have in common.
SHARED = "objects"

#: A room that may import another only in part: (who, whom) -> modules.
PARTS = {
    ("events", "storage"): {"txregistry.storage.blocking"},
    ("fronts", "process"): {
        "txregistry.process.breaker",
        "txregistry.process.endings",
        "txregistry.process.inheritance",
        "txregistry.process.supervision",
    },
    ("own_front", "process"): {"txregistry.process.parsing"},
    ("token_key", "process"): {"txregistry.process.spec"},
    ("watching", "process"): {"txregistry.process.status"},
    ("front_end", "process"): {"txregistry.process.spec"},
    ("front_end", "storage"): {"txregistry.storage.errors"},
    ("notifying", "process"): {"txregistry.process.spec"},
    ("authentication", "process"): {"txregistry.process.spec"},
    ("identify", "storage"): {"txregistry.storage.blocking"},
    ("web", "storage"): {"txregistry.storage.contract", "txregistry.storage.errors"},
    ("access_log", "web"): {"txregistry.web.settings"},
    ("metrics", "web"): {"txregistry.web.settings"},
    ("metrics", "process"): {"txregistry.process.status"},
    ("metrics", "events"): {"txregistry.events.counts"},
    ("tls", "web"): {"txregistry.web.peer"},
}

#: library (and what is below it) -> the rooms that may import it.
LIBRARIES = {
    "klein": {"web"},
    "werkzeug": {"web"},
    "twisted.web": {"web"},
    "twisted.web.client": {"events", "health", "identify"},
    "twisted.web.http_headers": {"web", "events", "health"},
    "twisted.web.iweb": {"web", "events", "outgoing"},
    "treq": {"events", "health", "identify"},
    "twisted.protocols.amp": {"ipc"},
    "ampoule": {"ipc", "process"},
    "boto3": {"drivers"},
    "botocore": {"drivers"},
    "txredisapi": {"redis_cache"},
    "yaml": {"config", "cli"},
    "h2": {"web"},
    "hyperframe": {"web"},
    "prometheus_client": {"metrics"},
    "opentelemetry": {"tracing"},
    "OpenSSL": {"events", "identify", "outgoing", "tls"},
    "bcrypt": {"identify"},
    "jwt": {"identify"},
}

#: What a room must do without: values and grammar have no clock, no input and no output.
FORBIDDEN = {
    "oci": {
        "twisted",
        "klein",
        "os",
        "io",
        "time",
        "random",
        "socket",
        "pathlib",
        "threading",
        "subprocess",
    },
    "auth": {"twisted", "klein", "os", "io", "socket", "pathlib", "subprocess"},
    "config": {"twisted", "klein", "socket", "subprocess"},
    "drivers": {"twisted", "klein"},
}


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    if parts[0] == "drivers":
        return "drivers"
    if parts[0] == "twisted":
        return "plugin"
    return parts[1].removesuffix(".py") if len(parts) > 1 else parts[0]


def sources() -> list[Path]:
    return sorted(
        path
        for tree in ("txregistry", "drivers", "twisted")
        for path in (ROOT / tree).rglob("*.py")
    )


def imports_of(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of everything that a file imports; ``from a import b`` counts as
    ``a.b``.
    """
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def violations(path: Path) -> list[str]:
    room = room_of(path)
    if path == ROOT / "txregistry" / "__init__.py":
        return [
            f"{path}:{line}: the package itself imports {name}" for line, name in imports_of(path)
        ]
    assert room in ROOMS, f"{path}: give the room {room!r} a row in ROOMS"
    found = []
    for line, name in imports_of(path):
        problem = _own(path, room, name) or _library(path, room, name)
        if problem:
            found.append(f"{path.relative_to(ROOT)}:{line}: {problem}")
    return found


def _own(path: Path, room: str, name: str) -> str | None:
    parts = name.split(".")
    if parts[0] == "txregistry_drivers":
        package = path.relative_to(ROOT).parts[1]
        if room == "drivers" and parts[1] in (package, SHARED):
            return None
        return f"imports the driver {name}"
    if parts[0] != "txregistry" or parts[1:2] in ([], [room], ["__version__"]):
        return None
    if parts[1] not in ROOMS[room]:
        return f"{room} must not import {name}"
    allowed = PARTS.get((room, parts[1]))
    if allowed is not None and not any(name.startswith(module + ".") for module in allowed):
        return f"{room} may import of {parts[1]} only {', '.join(sorted(allowed))}, not {name}"
    return None


def _library(path: Path, room: str, name: str) -> str | None:
    # What is said of a part of a library counts, not what is said of the whole.
    above = [library for library in LIBRARIES if (name + ".").startswith(library + ".")]
    if above and room not in LIBRARIES[library := max(above, key=len)]:
        return f"{library} belongs to {', '.join(sorted(LIBRARIES[library]))}, not to {room}"
    top = name.partition(".")[0]
    owner = {
        **{"boto3": "s3", "botocore": "s3", "google": "gcs"},
        **{"azure": "azure", "swiftclient": "swift"},
    }.get(top)
    if owner is not None and path.relative_to(ROOT).parts[:2] != ("drivers", owner):
        return f"{name} belongs to drivers/{owner}"
    if top in FORBIDDEN.get(room, ()):
        return f"{room} must do without {name}"
    return None


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_imports_only_what_its_room_may(path):
    """A newcomer who opens a room needs to know the rooms below it and no others."""
    assert violations(path) == []


@pytest.mark.parametrize("page", ["txregistry/__init__.py", "docs/tour.md"])
def test_rooms_are_listed_lowest_first(page):
    """Both lists name every room, and whoever reads down has met what a room imports.

    Rooms of one line or row may import each other.
    """
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    place = {}
    for number, line in enumerate(lines):
        if line.startswith("``") or ";  ``" in line or "               ``" in line:
            named = re.findall(r"``(\w+)``", line)
        else:
            named = re.findall(r"`(\w+)`", line.split("|")[1]) if line.startswith("| ") else []
        for name in named:
            place.setdefault(name, number)
    ours = set(ROOMS) - {"drivers", "plugin", "driver"}
    assert ours <= set(place)
    assert {
        (room, below) for room in ours for below in ROOMS[room] if place[below] > place[room]
    } == set()


def test_rule_notices_what_it_forbids(tmp_path, monkeypatch):
    """The rule itself works: each kind of violation is found in a tree that has it."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    cases = {
        "txregistry/oci/names.py": "import os",
        "txregistry/registry/uploads.py": "from txregistry.ipc.remote import RemoteDriver",
        "txregistry/web/api/blobs.py": "from txregistry.storage.memory import MemoryStore",
        "txregistry/web/site.py": "from txregistry.process import opening",
        "txregistry/process/child.py": "from twisted.protocols.amp import AMP",
        "txregistry/registry/blobs.py": "from twisted.web.http import Request",
        "txregistry/ipc/link.py": "from klein import Klein",
        "drivers/memory/__init__.py": "from txregistry.storage.memory import MemoryStore",
        "drivers/filesystem/store.py": "import boto3",
        "drivers/filesystem/__init__.py": "from txregistry_drivers.memory import create",
        "drivers/objects/store.py": "from txregistry_drivers.memory import create",
        "drivers/objects/bucket.py": "from txregistry.storage.errors import Missing",
    }
    for name, text in cases.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert violations(path), f"{name}: {text}"
    fine = tmp_path / "drivers" / "memory" / "__main__.py"
    fine.write_text(
        "from txregistry.driver import main\nfrom txregistry_drivers.memory import create\n"
    )
    assert violations(fine) == []
    fine.write_text("from txregistry_drivers.objects import ObjectStore\n")
    assert violations(fine) == []


def test_nothing_makes_packages_of_twisteds_folders():
    """An ``__init__.py`` below ``twisted/`` would hide Twisted itself."""
    assert [path.name for path in (ROOT / "twisted").rglob("*.py")] == ["txregistry_plugin.py"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_says_its_licence_and_its_purpose(path):
    """Every file opens with its licence and says what it is for."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    assert ast.get_docstring(ast.parse(text))
