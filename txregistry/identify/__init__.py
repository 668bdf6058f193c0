# SPDX-License-Identifier: Apache-2.0
"""Who asks: passwords, tokens and certificates, as proof of an identity.

Room: identify. Must not know HTTP beyond the text of two headers, nor what an identity may do
(``auth`` decides that).

``schemes``    all that were configured, in one
``basic``      the header that a name and a password come in
``htpasswd``   the file of names and hashes
``hashing``    bcrypt, in a bounded number of processes (``hasher``)
``failures``   how many wrong passwords are taken
``passwords``  these together
``keys``       keys of tokens;  ``chains`` certificates that vouch for one
``jwts``       tokens taken apart and verified;  ``claims`` what they say;  ``tokens`` both
``scopes``     rights as text;  ``issuing`` the token server that is built in
``oidc``       tokens of a provider's jobs;  ``fetching`` its keys
``certificates`` names in certificates of clients
``challenges`` how clients are told to log in;  ``remembered`` what holds for a while
``watching``   files that are read again when they change
"""
