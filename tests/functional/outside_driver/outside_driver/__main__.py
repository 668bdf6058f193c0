# SPDX-License-Identifier: Apache-2.0
"""``python -m outside_driver``"""

from outside_driver import create
from txregistry.driver import main

main(create, "sqlite")
