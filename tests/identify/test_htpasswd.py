# SPDX-License-Identifier: Apache-2.0
"""The file of names and hashes: what is taken, and what is refused with its line."""

import pytest

from txregistry.identify.htpasswd import parse_htpasswd
from txregistry.identify.watching import FileError

#: A bcrypt hash, but for its cost.
REST = "IqfcV1Pg.Rzsx1dVceHAs.HqXxzxKPICDj3Ppe30xrqICMCifSyDO"


def hash_of(cost, letter="y"):
    return f"$2{letter}${cost:02d}${REST}"


def parse(*lines):
    return parse_htpasswd("\n".join(lines).encode(), "/p")


def refusal(*lines):
    with pytest.raises(FileError) as caught:
        parse(*lines)
    return str(caught.value)


def test_names_and_hashes_are_read():
    """Comments, empty lines, a byte order mark and Windows' line ends are not in the way."""
    file, warnings = parse(
        "\ufeff# users", "", f"alice:{hash_of(10)}\r", f"Ünal b@c:{hash_of(12, 'b')}"
    )
    assert file.hashes == {
        "alice": hash_of(10).encode(),
        "Ünal b@c": hash_of(12, "b").encode(),
    }
    assert (file.cost, warnings) == (12, ())


@pytest.mark.parametrize("letter", "aby")
def test_every_kind_of_bcrypt_is_taken(letter):
    assert parse(f"a:{hash_of(10, letter)}")[0].cost == 10


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        ("$apr1$abcdefgh$abcdefghijklmnopqrstu1", "an MD5 hash"),
        ("$1$abcdefgh$abcdefghijklmnopqrstu1", "an MD5 hash"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "a SHA-1 hash"),
        ("$6$abc$def", "a SHA-2 crypt hash"),
        ("$5$abc$def", "a SHA-2 crypt hash"),
        ("rl0uE5FtJpA5c", "a crypt hash or a plain password"),
        ("hunter2", "no hash"),
        ("", "no hash"),
        (hash_of(10)[:-1], "a damaged or foreign bcrypt hash"),
        (hash_of(10) + "x", "a damaged or foreign bcrypt hash"),
        (hash_of(10, "x"), "a damaged or foreign bcrypt hash"),
    ],
)
def test_other_hashes_are_refused_with_their_line_and_not_quoted(stored, what):
    """Other registries skip them in silence, and the name can't log in."""
    sentence = refusal("# users", f"alice:{stored}")
    assert sentence == (
        f"/p, line 2: {what}, and only bcrypt is taken; make the line anew with htpasswd -B -C 10"
    )


@pytest.mark.parametrize("cost", [0, 3, 15, 31, 99])
def test_costs_that_take_too_long_or_are_none_are_refused(cost):
    """A cost of 31 would hold up a processor for days."""
    assert f"/p, line 1: its cost is {cost}, and 4 to 14 are taken" in refusal(f"a:{hash_of(cost)}")


@pytest.mark.parametrize(
    ("lines", "beginning"),
    [
        ([f"a:{hash_of(10)}", "", f"a:{hash_of(11)}"], "/p, line 3: the name stands in line 1"),
        (["alice"], "/p, line 1: there is no colon"),
        ([f":{hash_of(10)}"], "/p, line 1: what stands before the colon is no name"),
        ([f"a\tb:{hash_of(10)}"], "/p, line 1: what stands before the colon is no name"),
        ([f"{'a' * 256}:{hash_of(10)}"], "/p, line 1: what stands before the colon is no name"),
        (["# nobody"], "/p holds no names"),
        ([], "/p holds no names"),
    ],
)
def test_other_trouble_is_refused(lines, beginning):
    assert refusal(*lines).startswith(beginning)


def test_file_that_is_not_utf8_is_refused_with_its_line():
    with pytest.raises(FileError, match="/p, line 2: not UTF-8"):
        parse_htpasswd(b"# a\n\xff:x", "/p")


def test_weak_costs_are_warned_of_once():
    """htpasswd -B uses 5 unless it is told otherwise."""
    _, warnings = parse(f"a:{hash_of(10)}", f"b:{hash_of(5)}", f"c:{hash_of(5)}")
    assert [warning.partition(";")[0] for warning in warnings] == [
        "/p, line 2: a cost of 5 is little against who steals the file"
    ]
