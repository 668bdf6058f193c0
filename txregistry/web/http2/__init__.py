# SPDX-License-Identifier: Apache-2.0
"""HTTP/2, for those who ask for it: one connection, many requests.

Room: web. Of an extra (``txregistry[http2]``), so nothing else imports this before a client has
negotiated ``h2``.

``frames``      what the frames of a client may cost us, before anything parses them
``heads``       what was asked, and what stands before an answer's body
``reply``       an answer on its way out;  ``stream`` one request with it: for the request it is
                what ``channel`` is otherwise
``sending``     whose turn it is to send;  ``windows`` how much the client may
``terms``       settings, ours and the client's
``connection``  the connection: the ``h2`` library's protocol, streams, deadlines;  ``premises``
                what it needs of its site

``docs/decisions/0006-own-http2-connection.md`` says why this is not Twisted's.
"""
