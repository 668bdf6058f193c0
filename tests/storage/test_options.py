# SPDX-License-Identifier: Apache-2.0
"""Options of drivers: what is refused, and in which words."""

from __future__ import annotations

import pytest

from txregistry.storage.errors import BadOptions
from txregistry.storage.options import (
    check_option_names,
    choice_option,
    flag_option,
    seconds_option,
    text_option,
    texts_option,
    whole_option,
)


def test_unknown_name_is_told_with_the_nearest():
    """A misspelt option stops the start, and the right one is named."""
    check_option_names({"bucket": 1}, ("bucket", "region"))
    with pytest.raises(BadOptions, match="there is no option 'bukcet'; did you mean bucket\\?"):
        check_option_names({"bukcet": 1}, ("bucket", "region"))
    with pytest.raises(BadOptions, match="there is no option 'xyz'; known are: bucket, region"):
        check_option_names({"xyz": 1}, ("region", "bucket"))
    with pytest.raises(BadOptions, match="known are: none"):
        check_option_names({"xyz": 1}, ())


def test_text_is_text():
    """A text may be left out; another kind, or nothing, is refused."""
    assert text_option({}, "root", "/d") == "/d"
    assert text_option({"root": "/r"}, "root", "/d") == "/r"
    for value in ("", 5, None, ["/r"], True):
        with pytest.raises(BadOptions, match="root is to be a text"):
            text_option({"root": value}, "root", "/d")


def test_choice_is_one_of_its_words():
    """Another word is refused with the nearest that there is."""
    words = ("strict", "none")
    assert choice_option({}, "durability", words, "strict") == "strict"
    assert choice_option({"durability": "none"}, "durability", words, "strict") == "none"
    with pytest.raises(BadOptions, match=r"strict, none, not 'stricter'; did you mean strict\?"):
        choice_option({"durability": "stricter"}, "durability", words, "strict")
    with pytest.raises(BadOptions, match=r"not 'xyz'$"):
        choice_option({"durability": "xyz"}, "durability", words, "strict")


def test_whole_number_may_be_text():
    """Numbers come from files and from environment variables."""
    assert whole_option({}, "threads", 100, least=1) == 100
    assert whole_option({"threads": 5}, "threads", 100, least=1) == 5
    assert whole_option({"threads": "25"}, "threads", 100, least=1) == 25
    for value in (0, "0", "-1", "many", "", 2.5, True, None, "٣"):
        with pytest.raises(BadOptions, match="threads is to be a whole number of at least 1"):
            whole_option({"threads": value}, "threads", 100, least=1)


def test_seconds_may_be_broken():
    """A duration is a number; one that is too short, or none, is refused."""
    assert seconds_option({}, "timeout", 5.0) == 5.0
    assert seconds_option({"timeout": 2}, "timeout", 5.0) == 2.0
    assert seconds_option({"timeout": 0.5}, "timeout", 5.0, least=0.5) == 0.5
    for value in (0.4, -1, "2", True, None, float("nan")):
        with pytest.raises(BadOptions, match=r"timeout is to be a duration of at least 0.5 s"):
            seconds_option({"timeout": value}, "timeout", 5.0, least=0.5)


def test_texts_may_be_one_with_commas():
    """A list in a file, or what an environment variable gives; nothing empty among them."""
    assert texts_option({}, "scopes") == ()
    assert texts_option({"scopes": ["a", " b "]}, "scopes") == ("a", "b")
    assert texts_option({"scopes": "a, b,,"}, "scopes") == ("a", "b")
    for value in (5, ["a", 1], {"a": "b"}, True):
        with pytest.raises(BadOptions, match="scopes is to be a list of texts"):
            texts_option({"scopes": value}, "scopes")


def test_flag_may_be_text():
    """Environment variables give texts; whatever is neither yes nor no is refused."""
    assert flag_option({}, "secure", True) is True
    assert flag_option({"secure": False}, "secure", True) is False
    assert flag_option({"secure": "True"}, "secure", False) is True
    assert flag_option({"secure": "false"}, "secure", True) is False
    for value in ("yes", "", 1, None):
        with pytest.raises(BadOptions, match="secure is true or false"):
            flag_option({"secure": value}, "secure", True)
