# SPDX-License-Identifier: Apache-2.0
"""The routes' functions, a module per resource: each parses, calls one method of the registry, renders."""
