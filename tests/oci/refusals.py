# SPDX-License-Identifier: Apache-2.0
"""How the tests of this room say that something is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from txregistry.oci.errors import Code, OciError


@contextmanager
def refused(code: Code) -> Iterator[pytest.ExceptionInfo[OciError]]:
    """Expect that the block is refused with ``code``; gives what pytest caught."""
    with pytest.raises(OciError) as caught:
        yield caught
    assert caught.value.code is code
