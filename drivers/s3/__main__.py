# SPDX-License-Identifier: Apache-2.0
"""``python -m txregistry_drivers.s3``"""

from txregistry.driver import main
from txregistry_drivers.s3 import create

main(create, "s3")
