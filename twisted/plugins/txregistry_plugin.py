# SPDX-License-Identifier: Apache-2.0
"""Makes ``twistd registry`` exist; nothing of ours is imported before it is asked for."""

from twisted.application.service import ServiceMaker

registry = ServiceMaker(
    "registry",
    "txregistry.tap",
    "An OCI registry whose storage drivers are separate processes.",
    "registry",
)
