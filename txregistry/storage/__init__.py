# SPDX-License-Identifier: Apache-2.0
"""The contract of a storage driver, its errors, the paths of the tree, and the suite that drivers
pass.
"""
