# SPDX-License-Identifier: Apache-2.0
"""The file of names and bcrypt hashes, as Apache's ``htpasswd -B`` writes it.

Room: identify. Must not read files: text is given.

    file  = *( line LF )
    line  = [ name ":" hash ] / "#" comment
    hash  = "$2" ("a" / "b" / "y") "$" cost "$" 53( "." / "/" / ALPHA / DIGIT )

Whatever else stands there is refused with the number of its line and never quoted: it may be a
password. Other registries skip it in silence, and somebody wonders why a name can't log in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from txregistry.identify.basic import NAME_LIMIT
from txregistry.identify.watching import FileError

#: Costs that are taken. Below 4 there is no bcrypt; 14 takes about a second for each password.
LEAST_COST, MOST_COST = 4, 14
#: Below this a stolen file is quickly guessed at. ``htpasswd -B`` uses 5 if it is not told.
WEAK_COST = 8
#: Largest file, in bytes. Arbitrary: some 100,000 names.
FILE_LIMIT = 8 * 1024 * 1024

_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_OTHERS = (
    (re.compile(r"\$apr1\$|\$1\$"), "an MD5 hash"),
    (re.compile(r"\{SHA\}"), "a SHA-1 hash"),
    (re.compile(r"\$[56]\$"), "a SHA-2 crypt hash"),
    (re.compile(r"[./A-Za-z0-9]{13}"), "a crypt hash or a plain password"),
    (re.compile(r"\$2[abxy]?\$"), "a damaged or foreign bcrypt hash"),
)
_REMEDY = "make the line anew with htpasswd -B -C 10"


@frozen
class Htpasswd:
    """What a file says.

    Attributes:
        hashes: name -> hash.
        cost: the highest of all.
    """

    hashes: Mapping[str, bytes] = field(repr=False)
    cost: int


def parse_htpasswd(data: bytes, path: str) -> tuple[Htpasswd, tuple[str, ...]]:
    """Return what a file says, and warnings.

    Args:
        path: how messages call it.

    Raises:
        FileError: one sentence: which line, what is wrong, and the way out.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = data.count(b"\n", 0, error.start) + 1
        raise FileError(f"{path}, line {place}: not UTF-8; save the file as UTF-8") from None
    hashes: dict[str, bytes] = {}
    lines: dict[str, int] = {}
    costs: dict[int, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        where = f"{path}, line {number}"
        name, stored, cost = _parse_line(line, where)
        if name in lines:
            raise FileError(
                f"{where}: the name stands in line {lines[name]} already; remove one of both"
            )
        lines[name], hashes[name] = number, stored
        costs.setdefault(cost, number)
    if not hashes:
        raise FileError(f"{path} holds no names; add one with htpasswd -B -C 10 {path} NAME")
    return Htpasswd(hashes, max(costs)), tuple(_weak(path, costs))


def _parse_line(line: str, where: str) -> tuple[str, bytes, int]:
    name, colon, rest = line.partition(":")
    if not colon:
        raise FileError(f"{where}: there is no colon between name and hash; {_REMEDY}")
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise FileError(
            f"{where}: what stands before the colon is no name of at most {NAME_LIMIT} printable"
            " characters; correct it"
        )
    found = _BCRYPT.fullmatch(rest)
    if found is None:
        what = next((what for form, what in _OTHERS if form.match(rest)), "no hash")
        raise FileError(f"{where}: {what}, and only bcrypt is taken; {_REMEDY}")
    cost = int(found[1])
    if not LEAST_COST <= cost <= MOST_COST:
        raise FileError(
            f"{where}: its cost is {cost}, and {LEAST_COST} to {MOST_COST} are taken; {_REMEDY}"
        )
    return name, rest.encode("ascii"), cost


def _weak(path: str, costs: Mapping[int, int]) -> list[str]:
    return [
        f"{path}, line {number}: a cost of {cost} is little against who steals the file; {_REMEDY}"
        for cost, number in sorted(costs.items())
        if cost < WEAK_COST
    ]
