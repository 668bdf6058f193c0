# SPDX-License-Identifier: Apache-2.0
"""moto, whose puts take turns::

    python -m tests.s3.moto_server -H 127.0.0.1 -p PORT

It looks at a condition first and stores later; of two hosts that put at once both would have won.
"""

from __future__ import annotations

import functools
import threading

from moto.s3.responses import S3Response
from moto.server import main

_turns = threading.Lock()
_put_object = S3Response.put_object


@functools.wraps(_put_object)
def put_object(self):
    with _turns:
        return _put_object(self)


if __name__ == "__main__":
    S3Response.put_object = put_object
    main()
