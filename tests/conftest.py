# SPDX-License-Identifier: Apache-2.0
"""What holds for the whole run."""

from __future__ import annotations

import gc


def pytest_collection_finish():
    """What was imported and collected stays to the end: 400,000 objects that no collection of what a
    test left behind has to look at again, and some fixtures collect twice a test.
    """
    gc.collect()
    gc.freeze()
