# SPDX-License-Identifier: Apache-2.0
"""HTTP: connections, bodies in and out, one routing table, one error writer, a function per
route.
"""

from txregistry.web.elsewhere import Exempt, networks
from txregistry.web.pages import Pages
from txregistry.web.settings import AccessRecord, Endpoint, Limits, Metadata, WebSettings
from txregistry.web.site import RegistrySite, make_site

__all__ = [
    "AccessRecord",
    "Endpoint",
    "Exempt",
    "Limits",
    "Metadata",
    "Pages",
    "RegistrySite",
    "WebSettings",
    "make_site",
    "networks",
]
