# SPDX-License-Identifier: Apache-2.0
"""The HTTP reference says what the code does: each route, each function, each test, each error."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path

import pytest

from txregistry.oci.errors import Code
from txregistry.web.app import RegistryMap
from txregistry.web.faults import STATUSES
from txregistry.web.routes import rows_for
from txregistry.web.settings import WebSettings

ROOT = Path(__file__).resolve().parent.parent
API = (ROOT / "docs" / "reference" / "http-api.md").read_text(encoding="utf-8")
ERRORS = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")

#: ### `GET`, `HEAD` `/v2/<name>/...`   and all until the next heading
SECTION = re.compile(
    r"^### ((?:`[A-Z]+`(?:, )?)+) `(/[^`]*)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL
)
CELLS = re.compile(r"^\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(txregistry(?:\.\w+)+)`")
TESTS = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)*)`")
REFUSAL = re.compile(r"([45][0-9]{2}) `([A-Z_]+)`")

#: What the placeholders of a path may stand for.
SAMPLES = {
    "<name>": "lib/app",
    "<reference>": "v1.0",
    "<digest>": "sha256:" + "0" * 64,
    "<token>": "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
    "<session>": "0f3a1d1e-6d0c-4c60-9c1c-2f7a3a1f9b11",
}
ROWS = rows_for(WebSettings(challenge=print, token_server=print))
ROUTES = RegistryMap(ROWS)

#: Rows of the tables in errors.md.
CODES = re.findall(r"^\| `([A-Z_]+)` \| ([0-9]{3}) \| ([^|]+) \| ([^|]+) \|$", ERRORS, re.MULTILINE)
OTHERS = re.findall(r"^\| ([0-9]{3}) \| `([A-Z_]+)` \| [^|]+ \|$", ERRORS, re.MULTILINE)


def sections():
    for methods, path, text in SECTION.findall(API):
        yield re.findall(r"[A-Z]+", methods), path, text


def row_of(path):
    for placeholder, sample in SAMPLES.items():
        path = path.replace(placeholder, sample)
    assert "<" not in path, f"{path} has a placeholder that nothing stands for"
    row, _ = ROUTES.bind(path_info=path).match(return_rule=True)
    return row


@functools.cache
def names_in(path):
    """Names of a test file: of its test functions and classes, and of the tests in these."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{each.name}" for each in node.body if hasattr(each, "name")}
    return names


def find(dotted):
    """What a dotted name stands for."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, parts[end:], found)
    raise AssertionError(f"there is no {dotted}")


class ApiTests:
    """docs/reference/http-api.md"""

    def test_every_route_is_described_once(self):
        """No endpoint without its section, no section without its endpoint."""
        described = [
            (row_of(path).endpoint, method) for methods, path, _ in sections() for method in methods
        ]
        routed = {(row.endpoint, method) for row in ROWS for method in row.methods}
        assert sorted(described) == sorted(routed)

    @pytest.mark.parametrize(
        "methods, path, text",
        list(sections()),
        ids=lambda part: None if "\n" in part else str(part),
    )
    def test_section_names_the_function_that_answers(self, methods, path, text):
        """It is the one of the routing table; and success, tests and refusals are told."""
        cells = dict(CELLS.findall(text))
        assert {"Answered by", "Success", "Proven by"} <= set(cells)
        answers = NAMED.findall(cells["Answered by"])
        for method in methods:
            route = row_of(path).methods[method].route
            assert answers[0] == f"{route.__module__}.{route.__qualname__}"
        assert TESTS.findall(cells["Proven by"])
        if "<name>" in path:
            assert "400 `NAME_INVALID`" in cells["Errors"]

    @pytest.mark.parametrize("dotted", sorted(set(NAMED.findall(API + ERRORS))))
    def test_named_code_is_there(self, dotted):
        """Functions and modules move; the page moves with them."""
        assert find(dotted) is not None

    @pytest.mark.parametrize("path, names", sorted(set(TESTS.findall(API))))
    def test_named_test_is_there(self, path, names):
        """A file, or something in it."""
        assert (ROOT / path).is_file()
        assert not names or names.removeprefix("::") in names_in(path)

    def test_every_conformance_test_is_named(self):
        """A file of them that no endpoint points at proves nothing to who reads the page."""
        files = {
            path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_conformance_*")
        }
        assert files <= {path for path, _ in TESTS.findall(API)}

    @pytest.mark.parametrize("status, code", sorted(set(REFUSAL.findall(API))))
    def test_refusal_is_one_of_the_errors(self, status, code):
        """Each with a status that the page of errors knows for it."""
        known = {(row[1], row[0]) for row in CODES} | set(OTHERS)
        assert (status, code) in known

    def test_linked_paths_are_modules(self):
        """Sources that are named by path are there."""
        for path in re.findall(r"`(txregistry/[\w/]+\.py)`", API):
            assert (ROOT / path).is_file()


class ErrorTests:
    """docs/reference/errors.md"""

    def test_every_code_is_described(self):
        """With its status and its message, in the order of the table in the code."""
        expected = [(code.value, str(STATUSES[code]), code.message) for code in Code]
        assert [row[:3] for row in CODES] == expected

    def test_reserved_codes_are_those_that_nobody_raises(self):
        """A code that comes into use gets its description."""
        used = set()
        for path in ROOT.glob("txregistry/**/*.py"):
            if path.name not in ("errors.py", "faults.py"):
                used |= set(re.findall(r"\bCode\.([A-Z_]+)", path.read_text(encoding="utf-8")))
        used.add("UNKNOWN")  # raised by faults itself
        reserved = {row[0] for row in CODES if row[3].startswith("Reserved")}
        assert reserved == {code.value for code in Code} - used

    def test_every_other_status_is_described(self):
        """Wherever the code gives a refusal a status that is not its code's."""
        given = {
            pair for path in ROOT.glob("txregistry/**/*.py") for pair in special_statuses(path)
        }
        # The size of an upload is judged by a table, which names no code with it.
        assert set(OTHERS) == given | {("413", "SIZE_INVALID")}


def special_statuses(path):
    """(status, code) of the refusals in a source file that are not answered by their code's
    status.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        words = {keyword.arg: keyword.value for keyword in call.keywords}
        named = re.search(r"\bCode\.([A-Z_]+)", ast.unparse(call))
        if named is None:
            continue
        if isinstance(words.get("status"), ast.Constant):
            yield str(words["status"].value), named[1]
        if isinstance(words.get("too_large"), ast.Constant):
            yield "413", named[1]
        if isinstance(words.get("malformed"), ast.Constant):
            yield "400", named[1]


def test_tables_are_found():
    """The patterns above still read the pages."""
    assert list(sections()) and CODES and OTHERS
