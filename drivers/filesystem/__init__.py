# SPDX-License-Identifier: Apache-2.0
"""The filesystem driver: the storage tree of registry:2, byte for byte, below a root directory.

``store`` has the methods of the contract, ``appending`` the writer of a staged upload,
``publishing`` the way of staged bytes to their final name, ``names`` which directory entries are
durable, ``grouping`` how syncs that come together become one, ``sweeping`` what crashes left
behind, ``locking`` who may replace a name, ``temporary`` the names that nobody else sees,
``copying`` the last resort where hard links don't go, ``refusals`` what an errno means, ``options``
what an operator may set.
"""

from txregistry_drivers.filesystem.options import create

__all__ = ["create"]
