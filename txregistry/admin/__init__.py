# SPDX-License-Identifier: Apache-2.0
"""What an operator does to a storage tree: check it, repair it, look at its uploads.

Room: admin. Must not know the command line, HTTP or which driver it is: functions over a Driver
that tell what they find as they find it, and return a value in the end.
"""
