# SPDX-License-Identifier: Apache-2.0
"""``python -m txregistry_drivers.gcs``"""

from txregistry.driver import main
from txregistry_drivers.gcs import create

main(create, "gcs")
