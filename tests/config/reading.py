# SPDX-License-Identifier: Apache-2.0
"""How these tests read a configuration: from text, in a directory that does not matter."""

import pytest

from txregistry.config import ConfigError, load_text

#: Before the keys of a test; five lines, so that what a test adds begins on the sixth.
MINIMAL = """\
version: 0.1
# a comment
storage:
  filesystem:
    rootdirectory: /srv/registry
"""


def read(text, environ=None, **options):
    return load_text(text, environ or {}, source="registry.yml", directory="/work", **options)


def read_keys(text, environ=None, **options):
    """Read a configuration that has these keys beside a storage driver."""
    return read(MINIMAL + text, environ, **options)


def refusal(text, environ=None, **options):
    """The one sentence with which a text is refused."""
    with pytest.raises(ConfigError) as caught:
        read(text, environ, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def refusal_of_keys(text, environ=None, **options):
    return refusal(MINIMAL + text, environ, **options)
