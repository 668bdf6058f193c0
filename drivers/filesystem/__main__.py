# SPDX-License-Identifier: Apache-2.0
"""``python -m txregistry_drivers.filesystem``"""

from txregistry.driver import main
from txregistry_drivers.filesystem import create

main(create, "filesystem")
