# SPDX-License-Identifier: Apache-2.0
"""Who may do what: one function, asked before every request is acted upon.

Room: auth. Must not know HTTP (``web`` turns a refusal into its status and challenge), nor
credentials: an identity arrives here proven. Must not look anything up: what the decision depends
on is in its arguments, so nobody can forget to ask.

The order of the questions, each of which ends the matter::

    is the action one of the table's?        no -> DENY            (default deny)
    does the identity hold the right?        no -> CHALLENGE       nobody is logged in: logging in
    may help
                                                -> DENY            somebody is: it won't
    does the registry do that at present?    no -> UNSUPPORTED     read-only, or deletes are
    disabled
                                            yes -> ALLOW

Rights come first: who may not do a thing is not told whether it would have worked.
"""

from __future__ import annotations

import enum

from attrs import field, frozen

from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName


class Action(enum.Enum):
    """What a request would do."""

    LOGIN = "login"
    PULL = "pull"
    PUSH = "push"
    TAG_CREATE = "tag_create"
    TAG_UPDATE = "tag_update"
    DELETE = "delete"
    STATUS = "status"
    CANCEL = "cancel"
    CATALOG = "catalog"
    ADMIN = "admin"


class Verdict(enum.Enum):
    """How a decision ends."""

    ALLOW = "allow"
    CHALLENGE = "challenge"
    DENY = "deny"
    UNSUPPORTED = "unsupported"


@frozen
class Resource:
    """What a request is about; ``kind`` and ``name`` are the words of a token's scope.

    Source: Docker's token scope: ``repository:<name>:<action>``, ``registry:catalog:*``.
    """

    kind: str
    name: str

    @classmethod
    def repository(cls, name: RepositoryName) -> Resource:
        """Return the resource that a repository is."""
        return cls("repository", name.text)


#: The registry as a whole: its version check and its administration.
REGISTRY = Resource("registry", "")
#: The list of all repositories.
CATALOG = Resource("registry", "catalog")


@frozen
class Right:
    """One right on one resource, in a token's words; nothing in it is a pattern.

    Attributes:
        action: ``pull``, ``push``, ``delete``, ``*`` (on the catalog) or ``admin``.
    """

    resource: Resource
    action: str


@frozen
class Identity:
    """Who asks, as far as it was proven.

    Attributes:
        name: empty if nobody is logged in.
        rights: what may be done.
        is_unrestricted: everything may be done, whatever ``rights`` says.
    """

    name: str = ""
    rights: frozenset[Right] = frozenset()
    is_unrestricted: bool = field(default=False, kw_only=True)


#: Everybody, in a registry that asks nobody for credentials.
ANONYMOUS = Identity(is_unrestricted=True)


@frozen(kw_only=True)
class State:
    """What the registry does at present, as configured."""

    read_only: bool = False
    delete_enabled: bool = False


@frozen
class Rule:
    """What an action asks for.

    Attributes:
        right: the action word of the right that is needed; None: any identity with a name will do.
        is_write: refused while the registry is read-only.
        is_delete: refused while deletes are disabled.
    """

    right: str | None
    is_write: bool = False
    is_delete: bool = False


#: The status of an upload concerns those who push it, and is only told: a registry that is
#: read-only for a while does not make them begin again. Cancelling one takes back what the client
#: itself is pushing: it needs the right to push and no deletes enabled.
RULES = {
    Action.LOGIN: Rule(None),
    Action.PULL: Rule("pull"),
    Action.PUSH: Rule("push", is_write=True),
    Action.TAG_CREATE: Rule("push", is_write=True),
    Action.TAG_UPDATE: Rule("push", is_write=True),
    Action.DELETE: Rule("delete", is_write=True, is_delete=True),
    Action.STATUS: Rule("push"),
    Action.CANCEL: Rule("push", is_write=True),
    Action.CATALOG: Rule("*"),
    Action.ADMIN: Rule("admin"),
}


@frozen
class Decision:
    """A verdict, with what a refusal has to say.

    Attributes:
        reason: one sentence, for the client and the log; empty if allowed.
        missing: the right that a challenge asks for; None if a login is all that is missing.
    """

    verdict: Verdict
    reason: str = ""
    missing: Right | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the request may be acted upon."""
        return self.verdict is Verdict.ALLOW

    def refusal(self) -> OciError:
        """Return what the client is told; not for an allowed request.

        Source: distribution-spec, "Error Codes"; registry:2's details of UNAUTHORIZED.
        """
        if self.verdict is Verdict.CHALLENGE:
            return OciError(
                Code.UNAUTHORIZED, None if self.missing is None else [_access(self.missing)]
            )
        return OciError(_REFUSALS[self.verdict], self.reason)


_REFUSALS = {Verdict.DENY: Code.DENIED, Verdict.UNSUPPORTED: Code.UNSUPPORTED}
_ALLOWED = Decision(Verdict.ALLOW)


def decide(identity: Identity, action: Action, resource: Resource, state: State) -> Decision:
    """Return whether ``identity`` may do ``action`` to ``resource``, the registry being in
    ``state``.

    Total: it raises nothing, and what it has no rule for is denied.

    Source: the table ``RULES``.
    """
    rule = RULES.get(action)
    if rule is None:
        return Decision(Verdict.DENY, "there is no rule for that action")
    missing = None if rule.right is None else Right(resource, rule.right)
    if not _holds(identity, missing):
        if not identity.name:
            return Decision(Verdict.CHALLENGE, "authentication required", missing)
        return Decision(Verdict.DENY, f"{action.value} is not granted", missing)
    if rule.is_write and state.read_only:
        return Decision(Verdict.UNSUPPORTED, "the registry is read-only")
    if rule.is_delete and not state.delete_enabled:
        return Decision(Verdict.UNSUPPORTED, "deletes are disabled")
    return _ALLOWED


def _holds(identity: Identity, right: Right | None) -> bool:
    if identity.is_unrestricted:
        return True
    return bool(identity.name) if right is None else right in identity.rights


def _access(right: Right) -> dict[str, str]:
    """Return a right in the words of registry:2's UNAUTHORIZED detail."""
    return {
        "Type": right.resource.kind,
        "Class": "",
        "Name": right.resource.name,
        "Action": right.action,
    }
