# SPDX-License-Identifier: Apache-2.0
"""Room: middleware. What stands between a store and the clients that are sent to it elsewhere.

Runs in the driver's process, before the store's own redirects, as ``middleware.storage`` of the
configuration lists them: the first is next to the store, each later one round those before it.
Every one is a ``storage.redirecting.Redirects`` over another. ``chain`` builds them; those of other
packages are found by entry point (group ``txregistry.middlewares``: name -> factory).
"""

from txregistry.middleware.chain import GROUP, SHIPPED, Factory, StoreRedirects, make_chain

__all__ = ["GROUP", "SHIPPED", "Factory", "StoreRedirects", "make_chain"]
