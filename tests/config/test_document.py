# SPDX-License-Identifier: Apache-2.0
"""YAML as trees that know where they stand."""

import pytest

from txregistry.config import ConfigError
from txregistry.config.document import (
    Branch,
    Items,
    Scalar,
    load_bytes,
    lookup,
    parse_document,
    plain,
    replaced,
)
from txregistry.config.errors import Origin

HERE = Origin("here")


def parse(text, source="registry.yml"):
    return parse_document(text, source)


def refusal(text, source="registry.yml"):
    with pytest.raises(ConfigError) as caught:
        parse(text, source)
    return str(caught.value)


class ParseDocumentTests:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("yes", True),
            ("off", False),
            ("7", 7),
            ("0x10", 16),
            ("1_000", 1000),
            ("0.5", 0.5),
            ("~", None),
            ("'7'", "7"),
            ("2026-01-01", "2026-01-01"),
            ("0123abc", "0123abc"),
            ("!!str 5", "5"),
            ("!!int x", "x"),
            ("=", "="),
        ],
    )
    def test_scalar_has_its_yaml_value_and_its_text(self, text, value):
        """Booleans, numbers and null as YAML 1.1 says; a date stays text."""
        node = lookup(parse(f"a: {text}"), "a")
        assert isinstance(node, Scalar)
        assert node.value == value
        assert type(node.value) is type(value)

    def test_text_of_a_number_is_kept(self):
        """A password of digits keeps its leading zero."""
        assert lookup(parse("a: 0123"), "a").text == "0123"

    def test_nodes_know_the_line_of_their_key(self):
        """Messages point at the line where the key stands."""
        tree = parse("a:\n  b: 1\n  c:\n    - x\n    - y\n")
        assert lookup(tree, "a.b").origin == Origin("registry.yml", 2)
        assert lookup(tree, "a.c").origin == Origin("registry.yml", 3)
        assert lookup(tree, "a.c").nodes[1].origin == Origin("registry.yml", 5)

    def test_values_of_variables_have_no_line(self):
        """A variable has a name, not lines."""
        assert (
            str(parse("x", "environment variable REGISTRY_X").origin)
            == "environment variable REGISTRY_X"
        )

    def test_anchors_and_merges_are_followed(self):
        """Anchors, aliases and << work as YAML says; what stands in the section itself wins."""
        tree = parse(
            "a: &base {x: 1, y: 2}\nb: {<<: *base, y: 3}\nc: {<<: [*base, {z: 4}]}\nd: *base"
        )
        assert plain(tree) == {
            "a": {"x": 1, "y": 2},
            "b": {"x": 1, "y": 3},
            "c": {"x": 1, "y": 2, "z": 4},
            "d": {"x": 1, "y": 2},
        }

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            (
                "a: 1\na: 2",
                "registry.yml, line 2: the key 'a' is there twice in one section; remove one of them",
            ),
            ("a:\n  b: 1\n  b: 2", "registry.yml, line 3: the key 'b' is there twice"),
            (
                "a: 1\n b: 2",
                "registry.yml, line 2: this is not YAML that can be read (mapping values",
            ),
            ("a: [1", "this is not YAML that can be read"),
            (
                "a: *secret",
                "line 1: this is not YAML that can be read (a second document, or an anchor",
            ),
            ("a: 1\n---\nb: 2", "line 2: this is not YAML that can be read (a second document"),
            ("a: \x01", "registry.yml: the text holds a character that YAML forbids"),
            ("a: !python/object:os.system x", "line 1: a value has a tag of its own"),
            ("? [1]\n: 2", "line 1: a key is a list or a mapping"),
            ("a: {<<: 5}", "line 1: '<<' merges something that is not a mapping"),
            ("a: &x [*x]", "the document is nested too deeply or too large"),
            ("a: " + "[" * 40 + "]" * 40, "the document is nested too deeply or too large"),
        ],
    )
    def test_broken_document_is_refused_in_one_sentence(self, text, sentence):
        """What is wrong and where, in one line."""
        assert sentence in refusal(text)
        assert "\n" not in refusal(text)

    def test_aliases_that_multiply_are_refused(self):
        """A few lines must not become a billion nodes."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
        assert "too large" in refusal("\n".join(lines))

    @pytest.mark.parametrize("text", ["p: *hunter2", "p: &a &hunter2 x", "p: !hunter2 x"])
    def test_message_does_not_quote_what_may_be_a_password(self, text):
        """An unquoted password can look like an alias; the message keeps it."""
        assert "hunter2" not in refusal(text)

    def test_nothing_is_null(self):
        """An empty text is a document of nothing."""
        assert parse("# only a comment\n").value is None


class ReplacedTests:
    leaf = Scalar("new", "new", HERE)

    def change(self, text, *path):
        return plain(replaced(parse(text), path, self.leaf))

    def test_value_is_replaced_and_the_rest_stays(self):
        assert self.change("a: {b: 1, c: 2}", "a", "b") == {"a": {"b": "new", "c": 2}}

    def test_missing_sections_are_made(self):
        assert self.change("x: 1", "a", "b") == {"x": 1, "a": {"b": "new"}}

    def test_null_counts_as_an_empty_section(self):
        assert self.change("a:", "a", "b") == {"a": {"b": "new"}}

    def test_index_replaces_or_appends(self):
        assert self.change("a: [x, y]", "a", "1") == {"a": ["x", "new"]}
        assert self.change("a: [x, y]", "a", "2") == {"a": ["x", "y", "new"]}
        assert self.change("a:", "a", "0") == {"a": ["new"]}

    @pytest.mark.parametrize("index", ["3", "x", "-1"])
    def test_index_beyond_the_end_is_refused(self, index):
        with pytest.raises(ConfigError, match="is no index of a list of 2; count from 0"):
            self.change("a: [x, y]", "a", index)

    def test_path_through_a_value_is_refused(self):
        with pytest.raises(ConfigError, match="'b' lies below a plain value"):
            self.change("a: 1", "a", "b")

    def test_original_is_untouched(self):
        """An anchor that is used twice is changed in one place only."""
        assert self.change("a: &s {x: 1}\nb: *s", "b", "x") == {"a": {"x": 1}, "b": {"x": "new"}}


def test_plain_gives_dictionaries_lists_and_values():
    assert plain(Branch({"a": Items((Scalar(1, "1", HERE),), HERE)}, HERE)) == {"a": [1]}


def test_byte_order_mark_is_taken_and_latin_1_refused():
    assert load_bytes(b"\xef\xbb\xbfa: 1", "f") == "a: 1"
    with pytest.raises(ConfigError, match="f, line 2: the file is not UTF-8; save it as UTF-8"):
        load_bytes(b"a: 1\nb: \xe9", "f")
