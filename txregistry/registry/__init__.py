# SPDX-License-Identifier: Apache-2.0
"""What a registry does: uploads, blobs, manifests, tags, referrers, catalog. No HTTP, no AMP."""
