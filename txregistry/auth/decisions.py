# SPDX-License-Identifier: Apache-2.0
"""Who may do what: one function, asked before every request is acted upon.

Room: auth. Must not know HTTP (``web`` turns a refusal into its status and challenge), nor
credentials: an identity arrives here proven. Must not look anything up: what the decision depends
on is in its arguments, so nobody can forget to ask.

The order of the questions, each of which ends the matter::

    is the action one of the table's?      no -> DENY         (default deny)
    has the identity lapsed?              yes -> CHALLENGE    unless an upload is gone on with
    does it hold the right?                no -> CHALLENGE    if other credentials may help: nobody
                                                              is logged in, or a token says too
                                                              little
                                              -> DENY         else
    does the registry do that at present?  no -> UNSUPPORTED  read-only, a mirror, deletes disabled
    may the target be changed?             no -> DENY         an immutable tag, or what it needs
                                          yes -> ALLOW

Rights come first: who may not do a thing is told neither whether it would have worked nor whether
there is such a thing.
"""

from __future__ import annotations

import enum
from collections.abc import Container

from attrs import field, frozen

from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName


class Action(enum.Enum):
    """What a request would do."""

    ASK = "ask"
    LOGIN = "login"
    PULL = "pull"
    PUSH = "push"
    CONTINUE = "continue"
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
        action: ``pull``, ``push``, ``create`` (a push that replaces no tag), ``delete``, ``*`` (on
            the catalog) or ``admin``.
    """

    resource: Resource
    action: str


@frozen
class Identity:
    """Who asks, as far as it was proven.

    Attributes:
        name: empty if nobody is logged in.
        rights: what may be done; rules that are asked, or a plain set.
        is_unrestricted: everything may be done, whatever ``rights`` says.
        by_password: a name and a password were shown; who shows something that ends by itself is
            given nothing that outlives it.
        by_token: the rights are those that a token was asked for; another token may say more.
        lapsed: when the token ceased to be valid, in seconds since the epoch; None if it has not.
        groups: that whoever proved the name says it is in, beside those of the rules.
        visible: the repositories that are shown are those that may be pulled from by these; None:
            by ``rights``.
    """

    name: str = ""
    rights: Container[Right] = frozenset()
    is_unrestricted: bool = field(default=False, kw_only=True)
    by_password: bool = field(default=False, kw_only=True)
    by_token: bool = field(default=False, kw_only=True)
    lapsed: float | None = field(default=None, kw_only=True)
    groups: tuple[str, ...] = field(default=(), kw_only=True)
    visible: Container[Right] | None = field(default=None, kw_only=True)

    @property
    def is_proven(self) -> bool:
        """Whether credentials were shown that are good; a token may be nobody's in particular."""
        return bool(self.name) or self.by_token


#: Everybody, in a registry that asks nobody for credentials.
ANONYMOUS = Identity(is_unrestricted=True)


@frozen(kw_only=True)
class State:
    """What the registry does at present, and how the target of the request stands.

    Attributes:
        read_only: nothing may be changed.
        delete_enabled: manifests, tags and blobs may be deleted.
        is_mirror: it serves what another registry has, so only that one is pushed to.
        is_immutable: the target is a tag that must stay as it is, or something that one needs.
    """

    read_only: bool = False
    delete_enabled: bool = False
    is_mirror: bool = False
    is_immutable: bool = False


@frozen
class Rule:
    """What an action asks for.

    Attributes:
        right: the action word of the right that is needed; None: whoever has proven anything.
        or_right: another one that will do.
        is_open: nothing need be proven.
        is_write: refused while the registry is read-only, or a mirror.
        is_delete: refused while deletes are disabled.
        is_change: refused if the target is immutable.
        outlives: what was begun with a valid token may be gone on with when it has lapsed; whether
            it was begun then is for who knows when that was.
    """

    right: str | None
    or_right: str | None = None
    is_open: bool = field(default=False, kw_only=True)
    is_write: bool = field(default=False, kw_only=True)
    is_delete: bool = field(default=False, kw_only=True)
    is_change: bool = field(default=False, kw_only=True)
    outlives: bool = field(default=False, kw_only=True)


#: The status of an upload concerns those who push it, and is only told: a registry that is
#: read-only for a while does not make them begin again. Cancelling one takes back what the client
#: itself is pushing: it needs the right to push and no deletes enabled.
RULES = {
    Action.ASK: Rule(None, is_open=True),
    Action.LOGIN: Rule(None),
    Action.PULL: Rule("pull"),
    Action.PUSH: Rule("push", "create", is_write=True),
    Action.CONTINUE: Rule("push", "create", is_write=True, outlives=True),
    Action.TAG_CREATE: Rule("push", "create", is_write=True),
    Action.TAG_UPDATE: Rule("push", is_write=True, is_change=True),
    Action.DELETE: Rule("delete", is_write=True, is_delete=True, is_change=True),
    Action.STATUS: Rule("push", "create", outlives=True),
    Action.CANCEL: Rule("push", "create", is_write=True, outlives=True),
    Action.CATALOG: Rule("*"),
    Action.ADMIN: Rule("admin"),
}


class Unauthorized(OciError):
    """Other credentials are needed.

    Attributes:
        missing: the right that they should bring; None if they need only be good.
        error: what is wrong with those that were shown, in OAuth's words; empty for none.

    Source: RFC 6750 section 3.1.
    """

    def __init__(self, missing: Right | None = None, error: str = "") -> None:
        super().__init__(Code.UNAUTHORIZED, None if missing is None else [_access(missing)])
        self.missing = missing
        self.error = error


@frozen
class Decision:
    """A verdict, with what a refusal has to say.

    Attributes:
        reason: one sentence, for the client and the log; empty if allowed.
        missing: the right that a challenge asks for; None if a login is all that is missing.
        error: what is wrong with a token, in OAuth's words.
    """

    verdict: Verdict
    reason: str = ""
    missing: Right | None = None
    error: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether the request may be acted upon."""
        return self.verdict is Verdict.ALLOW

    def refusal(self) -> OciError:
        """Return what the client is told; not for an allowed request.

        Source: distribution-spec, "Error Codes"; registry:2's details of UNAUTHORIZED.
        """
        if self.verdict is Verdict.CHALLENGE:
            return Unauthorized(self.missing, self.error)
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
    if identity.lapsed is not None and not (rule.outlives or rule.is_open):
        missing = wanted(action, resource)
        return Decision(Verdict.CHALLENGE, "the token has lapsed", missing, "invalid_token")
    if not _holds(identity, rule, resource):
        missing = wanted(action, resource)
        if identity.by_token:
            return Decision(Verdict.CHALLENGE, _ungranted(action), missing, "insufficient_scope")
        if not identity.name:
            return Decision(Verdict.CHALLENGE, "authentication required", missing)
        return Decision(Verdict.DENY, _ungranted(action), missing)
    return _possible(rule, state)


def wanted(action: Action, resource: Resource) -> Right | None:
    """Return the right that an action on something asks for; None if it asks for none."""
    rule = RULES.get(action)
    return None if rule is None or rule.right is None else Right(resource, rule.right)


def _possible(rule: Rule, state: State) -> Decision:
    """Decide for somebody who holds the right."""
    if rule.is_write and state.is_mirror:
        return Decision(Verdict.UNSUPPORTED, "the registry is a mirror of another one")
    if rule.is_write and state.read_only:
        return Decision(Verdict.UNSUPPORTED, "the registry is read-only")
    if rule.is_delete and not state.delete_enabled:
        return Decision(Verdict.UNSUPPORTED, "deletes are disabled")
    if rule.is_change and state.is_immutable:
        return Decision(Verdict.DENY, "a tag that must not change stands in the way")
    return _ALLOWED


def _holds(identity: Identity, rule: Rule, resource: Resource) -> bool:
    if identity.is_unrestricted or rule.is_open:
        return True
    if rule.right is None:
        return identity.is_proven
    words = (rule.right,) if rule.or_right is None else (rule.right, rule.or_right)
    return any(Right(resource, word) in identity.rights for word in words)


def _ungranted(action: Action) -> str:
    return f"{action.value} is not granted"


def _access(right: Right) -> dict[str, str]:
    """Return a right in the words of registry:2's UNAUTHORIZED detail."""
    return {
        "Type": right.resource.kind,
        "Class": "",
        "Name": right.resource.name,
        "Action": right.action,
    }
