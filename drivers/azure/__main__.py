# SPDX-License-Identifier: Apache-2.0
"""``python -m txregistry_drivers.azure``"""

from txregistry.driver import main
from txregistry_drivers.azure import create

main(create, "azure")
