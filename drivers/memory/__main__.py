# SPDX-License-Identifier: Apache-2.0
"""``python -m txregistry_drivers.memory``"""

from txregistry.driver import main
from txregistry_drivers.memory import create

main(create, "memory")
