# SPDX-License-Identifier: Apache-2.0
"""Several registries on one bucket, and what a slow storage does to a front end: real processes.

The long form (``make hosts``) takes minutes and prints its figures; the short one runs always.
"""

from __future__ import annotations

import os

#: Whether the long form runs.
IS_LONG = os.environ.get("HOSTS") == "long"

MIB = 1024 * 1024

#: Of an upload: the smallest that S3 takes.
PART = 5 * MIB
