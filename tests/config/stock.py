# SPDX-License-Identifier: Apache-2.0
"""The configuration files that registry:2, registry:3 and Debian's docker-registry come with, key
for key.
"""

#: The image of registry:2.
REGISTRY_2 = """\
version: 0.1
log: {fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
http:
  addr: :5000
  headers: {X-Content-Type-Options: [nosniff]}
health:
  storagedriver: {enabled: true, interval: 10s, threshold: 3}
"""

#: The image of registry:3, which ships its developers' file.
REGISTRY_3 = """\
version: 0.1
log:
  level: debug
  fields: {service: registry, environment: development}
storage:
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
  maintenance:
    uploadpurging: {enabled: false}
  tag: {concurrencylimit: 8}
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus: {enabled: true, path: /metrics}
  headers: {X-Content-Type-Options: [nosniff]}
health:
  storagedriver: {enabled: true, interval: 10s, threshold: 3}
"""

#: What Debian's file has besides, which is also in upstream's example.
PASSWORDS = """\
auth:
  htpasswd:
    realm: basic-realm
    path: /etc/docker/registry
"""

#: Debian's docker-registry, without the passwords.
DEBIAN = """\
version: 0.1
log: {fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/docker-registry}
  delete: {enabled: true}
http:
  addr: :5000
  headers: {X-Content-Type-Options: [nosniff]}
health:
  storagedriver: {enabled: true, interval: 10s, threshold: 3}
"""
