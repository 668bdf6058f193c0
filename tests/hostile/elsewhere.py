# SPDX-License-Identifier: Apache-2.0
"""Classes of the published table that are tried in another way than by bytes on a socket.

Or that are tried there, too, on a clock that the test moves or with files that stop a start.
"""

from __future__ import annotations

#: id -> what it is, and the tests that try it.
ELSEWHERE = {
    "B-034": (
        "the same with TLS versions and suites as clients of today negotiate them",
        ("tests/tls/test_contexts.py", "tests/tls/test_transport.py"),
    ),
    "B-043": (
        "the address that is logged, and proxies that are believed",
        ("tests/web/test_site.py",),
    ),
    "B-053": ("uploads under tokens, on a clock", ("tests/web/test_uploaders.py",)),
    "B-05D": ("a disk that becomes full", ("tests/faults/test_full_disk.py",)),
    "B-094": ("deletes that are disabled, by every path", ("tests/web/test_base.py",)),
    "B-124": (
        "every verb, resource and right through every scheme",
        ("tests/web/test_matrix.py",),
    ),
    "B-131": (
        "an unknown name costs what a wrong password does",
        ("tests/identify/test_passwords.py",),
    ),
    "B-132": ("what bcrypt does not look at", ("tests/identify/test_passwords.py",)),
    "B-133": (
        "the bound on checks and on those that wait; `make loginstorm` measures it",
        ("tests/identify/test_passwords.py",),
    ),
    "B-134": ("lines of a password file that are none", ("tests/identify/test_htpasswd.py",)),
    "B-140": ("keys of an OpenID provider", ("tests/identify/test_oidc.py",)),
    "B-144": ("tokens on a clock, to the second", ("tests/identify/test_tokens.py",)),
    "B-170": (
        "receivers that are down, hang and flap while the registry is killed; their certificates",
        (
            *("tests/faults/test_notifications.py", "tests/faults/test_endpoint_down.py"),
            *("tests/events/test_delivery.py", "tests/events/test_sender.py"),
            "tests/test_outgoing.py",
        ),
    ),
    "B-171": ("bounds of what an event tells", ("tests/events/test_envelope.py",)),
    "B-172": ("two servers, purges and checks at once", ("tests/functional/test_two_servers.py",)),
    "B-173": (
        "secrets in arguments, logs and errors; keys of the configuration that are none",
        ("tests/functional/test_canary.py", "tests/config/test_loading.py"),
    ),
}

#: What there is nothing here to try with: pull-through caches.
NOT_THERE = (
    *("B-096", "B-104", "B-160", "B-161", "B-162", "B-163", "B-164", "B-166", "B-167", "B-168"),
    "B-169",
)

#: All ids of the published table.
_NUMBERS = """
001 002 003 010 011 014 015 020 021 022 023 025 026 028 029 030 032 033 034 035 038
039 040 041 042 043 045 050 051 052 053 054 055 056 057 059 05B 05C 05D 060 061 062
063 064 065 067 068 070 071 073 074 075 076 077 078 079 07B 07C 07D 090 094 095 096
097 100 102 103 104 110 111 113 114 120 122 123 124 130 131 133 134 135 136 140 141
143 144 145 146 147 148 160 161 162 163 164 166 167 168 169 170 171 172 173 174
"""
PUBLISHED = tuple(f"B-{number}" for number in _NUMBERS.split())
