# SPDX-License-Identifier: Apache-2.0
"""Where the code lies; everything else about the distribution is in pyproject.toml.

``drivers/`` is installed as the package ``txregistry_drivers``. The plugin is listed as a module
because ``twisted/`` and ``twisted/plugins/`` must not become packages of ours: an ``__init__.py``
there would hide Twisted.
"""

from setuptools import find_packages, setup

setup(
    package_dir={"txregistry_drivers": "drivers"},
    packages=[
        *find_packages(include=["txregistry", "txregistry.*"]),
        "txregistry_drivers",
        *(f"txregistry_drivers.{name}" for name in find_packages("drivers")),
    ],
    py_modules=["twisted.plugins.txregistry_plugin"],
    package_data={"txregistry": ["py.typed"], "txregistry_drivers": ["py.typed"]},
)
