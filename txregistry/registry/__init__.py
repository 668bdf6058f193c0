# SPDX-License-Identifier: Apache-2.0
"""What a registry does: uploads, blobs, manifests, tags, referrers, catalog. No HTTP, no AMP.

Everything goes through a storage driver; every public method raises ``OciError`` (and ``BodyCut``
where it takes a body), never a ``StorageError``.
"""

from txregistry.registry.blobs import BlobContent, Blobs
from txregistry.registry.body import Body, BodyCut
from txregistry.registry.catalog import Catalog
from txregistry.registry.contents import SharedCache
from txregistry.registry.manifest_reader import Parse, StoredManifest
from txregistry.registry.manifests import Manifests, PutResult
from txregistry.registry.observer import (
    Action,
    Event,
    Nobody,
    Observer,
)
from txregistry.registry.open_sessions import Change, OpenSessions
from txregistry.registry.purge import PurgeReport, purge_uploads
from txregistry.registry.referrers import Referrers, ReferrersPage
from txregistry.registry.registry import Options, Registry, new_upload_id, open_registry
from txregistry.registry.secret import SecretRequired, load_or_create_secret
from txregistry.registry.tags import Tags
from txregistry.registry.uploaders import Uploader
from txregistry.registry.uploads import Upload, Uploads

__all__ = [
    "Action",
    "BlobContent",
    "Blobs",
    "Body",
    "BodyCut",
    "Catalog",
    "Change",
    "Event",
    "Manifests",
    "Nobody",
    "Observer",
    "OpenSessions",
    "Options",
    "Parse",
    "PurgeReport",
    "PutResult",
    "Referrers",
    "ReferrersPage",
    "Registry",
    "SecretRequired",
    "SharedCache",
    "StoredManifest",
    "Tags",
    "Upload",
    "Uploader",
    "Uploads",
    "load_or_create_secret",
    "new_upload_id",
    "open_registry",
    "purge_uploads",
]
