# SPDX-License-Identifier: Apache-2.0
"""What is shown on the port for those who run the registry.

Room: web. Must not know where it comes from. Nobody is asked who he is there, so nothing shown may
be secret.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class Pages:
    """The pages of ``http.debug.addr``.

    Attributes:
        problems: what fails, name -> text; empty if this host may be sent requests.
        variables: what can be told as JSON.
        stacks: what every thread and request is at, as text.
        metrics: the Accept header -> the type and text of all metrics; None: there are none.
        metrics_path: where.
    """

    problems: Callable[[], Mapping[str, str]]
    variables: Callable[[], Mapping[str, Any]]
    stacks: Callable[[], Awaitable[str]]
    metrics: Callable[[str], Awaitable[tuple[str, bytes]]] | None = None
    metrics_path: str = "/metrics"
