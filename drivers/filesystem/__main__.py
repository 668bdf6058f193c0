# SPDX-License-Identifier: Apache-2.0
"""``python -m txregistry_drivers.filesystem``"""

from txregistry_drivers.filesystem import create

from txregistry.driver import main

main(create, "filesystem")
