# SPDX-License-Identifier: Apache-2.0
"""An OCI registry on Twisted whose storage drivers are programs of their own.

The rooms, lowest first; each imports only what stands above it in this list
(``tests/test_layers.py`` keeps the rule):

``oci``        names, digests, manifests, ranges, pages, error codes: values and grammar
``errand``     on whose behalf work is done;  ``upkeep`` work that repeats
``storage``    what a storage driver promises, its errors, the tree's paths, the suite for every driver
``ipc``        that contract over AMP and descriptors: commands, lanes, the remote driver, the responder
``middleware`` how clients are sent elsewhere for blobs; runs in the driver's process
``process``    driver processes: start or attach, hello, liveness, restart
``registry``   what a registry does: uploads, blobs, manifests, tags, referrers, catalog
               (imports oci, storage)
``outgoing``   TLS to servers that we call
``redis_cache`` content that hosts share, by digest (imports oci, outgoing)
``auth``       who may do what (imports oci)
``identify``   who asks: passwords, tokens, certificates as proof
               (imports oci, auth, outgoing, and of storage how threads are waited for)
``admin``      checks, repairs, lists: what an operator does to a storage tree
               (imports oci, storage, registry)
``events``     notifications: built, queued on disk, delivered
               (imports oci, errand, outgoing, registry, and of storage how threads are waited for)
``web``        HTTP: the routing table, bodies in and out, errors as answers
               (imports registry, auth, oci, errand)
``config``     the configuration file
``purging``    one piece of upkeep, the purge of old uploads
``health``     whether this host may be sent requests (imports outgoing, upkeep, and of storage the contract)
``metrics``    what is counted (imports errand, and values of storage, process, events, web)
``tracing``    spans, an extra of the package (imports errand, storage)
``systemd``    what it passes and wants to hear;  ``challenges`` answers to ACME
``tls``        certificates, contexts, the transport
``listening``  one socket;  ``ports`` all of them
``reloading``  what SIGHUP changes;  ``telemetry`` logs
``access_log`` a line for each request;  ``stacks`` what every thread is at
``fronts``     several processes that serve (imports config, and of process how things are started)
``translation``  what the configuration says, in each room's words
``notifying``  the wiring of ``events``;  ``authentication`` that of ``auth`` and ``identify``
``checking``   the wiring of ``health``;  ``debug_port`` the port that shows it
``front``      what serves clients, whichever way
``watching``   looks at it: the wiring of ``health``, ``metrics``, ``tracing``
``own_front``  it is this process;  ``sharing`` it is several others, by ``fronts``
``token_key``  the key of upload tokens, on which hosts agree
``service``    the wiring of all;  ``serving`` and ``tap`` the ways in
``front_end``  one of several processes that serve
``oneshot``    runs a command's work against a driver;  ``drivertest`` the suite's command,
               ``maintenance`` those of ``admin``;  ``cli`` the command line
``driver``     the facade for driver authors

``docs/tour.md`` walks two requests through them.
"""

__version__ = "0.1.0"
