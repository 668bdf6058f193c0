# SPDX-License-Identifier: Apache-2.0
"""What a route function gets: one admitted request, and what it may use to answer it.

Room: web. Must not know the connection. Text that came with the request is still text here, but for
the repository's name, which the gate had to know.
"""

from __future__ import annotations

from attrs import define, field, frozen

from txregistry.auth.asking import Asker
from txregistry.auth.decisions import Action, Identity, Resource
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import Reference, RepositoryName
from txregistry.registry import Registry, Uploader
from txregistry.web.connections import group_of
from txregistry.web.gate import Gate, asker_of
from txregistry.web.ingest import Body, NoBody
from txregistry.web.request import RegistryRequest
from txregistry.web.settings import WebSettings
from txregistry.web.urls import Urls


@frozen
class House:
    """What is the same for all requests.

    Attributes:
        registry: None on a port that serves none.
    """

    registry: Registry | None
    settings: WebSettings
    urls: Urls
    gate: Gate


@define
class Call:
    """One admitted request.

    Attributes:
        reference: the last part of the path, with ``%3A`` decoded: a tag, a digest or an upload's
            id; empty where the route has none.
    """

    house: House
    identity: Identity
    reference: str
    _request: RegistryRequest
    _repository: RepositoryName | None
    _parameters: list[tuple[str, str]] | None = field(default=None, init=False)

    @property
    def registry(self) -> Registry:
        """The registry."""
        assert self.house.registry is not None
        return self.house.registry

    @property
    def urls(self) -> Urls:
        """The builder of URLs."""
        return self.house.urls

    @property
    def settings(self) -> WebSettings:
        """What was configured."""
        return self.house.settings

    @property
    def repository(self) -> RepositoryName:
        """The repository that the path names."""
        assert self._repository is not None
        return self._repository

    @property
    def is_head(self) -> bool:
        """Only the head of the answer is asked for."""
        return self._request.method == b"HEAD"

    @property
    def client(self) -> str:
        """The client's address, as far as it can be believed; empty if it has none."""
        return self._request.errand.client

    @property
    def owner(self) -> str:
        """Whom what is opened counts against: who is logged in, else where the client is."""
        name = self.identity.name
        return f"user {name}" if name else group_of(self.client)

    @property
    def body(self) -> Body | NoBody:
        """The request's body, of which nothing was read."""
        return self._request.body

    @property
    def uploader(self) -> Uploader:
        """Who is at an upload."""
        return Uploader(self.identity.name, self.identity.lapsed)

    @property
    def asker(self) -> Asker:
        """What the request shows of who sends it."""
        return asker_of(self._request)

    async def check_unneeded(self, reference: Reference) -> None:
        """Return if what is to be deleted is not what an immutable tag needs, or is.

        Raises:
            OciError: DENIED.
        """
        is_kept = self.house.gate.keeper(self.repository)
        if is_kept is None:
            return
        is_needed = await self.registry.needed.is_needed(self.repository, reference, is_kept)
        resource = Resource.repository(self.repository)
        gate = self.house.gate
        gate.check(self.identity, Action.DELETE, resource, is_immutable=is_needed)

    def header(self, name: bytes) -> str | None:
        """Return the value of a header, None if there is none."""
        return self._request.header(name)

    def parameters(self, name: str) -> list[str]:
        """Return the values of a query parameter, in order.

        Raises:
            OciError: too large: the query has too many parameters.
        """
        if self._parameters is None:
            self._parameters = self._request.parameters()
        return [value for key, value in self._parameters if key == name]

    def parameter(self, name: str) -> str | None:
        """Return the first value of a query parameter, None if there is none.

        Raises:
            OciError: too large: the query has too many parameters.
        """
        values = self.parameters(name)
        return values[0] if values else None

    def single_digest(self) -> str:
        """Return the value of ``digest``, which must be there once.

        Raises:
            OciError: DIGEST_INVALID.
        """
        values = self.parameters("digest")
        if len(values) != 1:
            raise OciError(Code.DIGEST_INVALID, message="exactly one digest parameter is needed")
        return values[0]
