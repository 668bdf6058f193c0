# SPDX-License-Identifier: Apache-2.0
"""HTTP/2, for those who ask for it: one connection, many requests.

Room: web. Of an extra (``txregistry[http2]``), so nothing else imports this before a client has
negotiated ``h2``.

``frames``      what the frames of a client may cost us, before anything parses them
``stream``      one request and its answer; for the request it is what ``channel`` is otherwise
``connection``  the connection: the ``h2`` library's protocol, deadlines, who may send next

``docs/decisions/0006-own-http2-connection.md`` says why this is not Twisted's.
"""
