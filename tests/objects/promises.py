# SPDX-License-Identifier: Apache-2.0
"""What a store over a bucket lacks without breaking a promise, whoever runs the bucket."""

from __future__ import annotations

#: Always.
LACKING = {
    "nothing is put below a file",  # directories are what keys have in common
    "a descriptor holds the whole object",
    "states are saved on the way",  # only tried with large data
}

#: While bytes wait to become a segment; not if each append is stored at once.
LATE = {
    "a newer writer fences the older",
    "a stale writer fences nobody",
    "what takes the path fences its writer",
    "an upload survives the driver",
}
