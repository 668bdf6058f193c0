# SPDX-License-Identifier: Apache-2.0
"""HTTP/2, over real TLS connections and frame by frame."""
