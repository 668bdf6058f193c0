# SPDX-License-Identifier: Apache-2.0
"""``python -m txregistry_drivers.swift``"""

from txregistry.driver import main
from txregistry_drivers.swift import create

main(create, "swift")
