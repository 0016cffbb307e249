"""What all endpoints share: a Bearer key, a scope per method, JSON, problem documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID

from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agentapp.api import problems, query
from agentapp.api.contract.operation import Operation
from agentapp.errors import NotFound
from agentapp.lifecycle import database, tenant_context
from agentapp.policies import bounds, payload_fields
from agentapp.policies.permissions import OPERATOR_SCOPES, PAYLOADS
from agentapp.services import api_keys, principals

_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class BearerKey(BaseAuthentication):
    """`Authorization: Bearer aa_...`; nothing else opens the API, no session and no cookie."""

    def authenticate(self, request: Request) -> tuple[None, principals.Principal]:
        """Raises NotAuthenticated or AuthenticationFailed (401), PermissionDenied for a suspended tenant (403)."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            raise exceptions.NotAuthenticated("Send the header `Authorization: Bearer aa_...` with your API key.")
        if scheme.lower() != "bearer":
            raise exceptions.AuthenticationFailed("Write the header as `Authorization: Bearer aa_...`.")
        try:
            with tenant_context.platform_rows():
                return None, principals.of_key(api_keys.authenticate(token.strip()))
        except api_keys.BadKey as error:
            raise exceptions.AuthenticationFailed(str(error)) from error

    def authenticate_header(self, request: Request) -> str:
        """The challenge of RFC 6750: who has sent a token learns that it is the token."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        has_sent = scheme.lower() == "bearer" and token.strip()
        return 'Bearer realm="agentapp"' + (', error="invalid_token"' if has_sent else "")


class JsonOnly(BaseContentNegotiation):
    """There is one representation, so the question is only whether the client takes it."""

    def select_parser(self, request: Request, parsers: Any) -> None:
        """No parser: agentapp.api.body reads the body itself."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        if not any(request.accepts(kind) for kind in ("application/json", problems.MEDIA_TYPE)):
            raise exceptions.NotAcceptable("Answers are JSON: send `Accept: application/json`, or no Accept at all.")
        return renderers[0], JSONRenderer.media_type


class Endpoint(APIView):
    """Base of every address. `scopes` says which scope each method needs; a method without one needs a key only.

    `contract` describes each method for the OpenAPI document, and `path_parameters` those parameters of the address
    that are not the id of a record. To a method that declares no query, no parameter may be sent, unless
    `ignores_parameters`.
    """

    scopes: ClassVar[dict[str, str]] = {}
    contract: ClassVar[Mapping[str, Operation]] = {}
    path_parameters: ClassVar[Mapping[str, Any]] = {}
    ignores_parameters: ClassVar[bool] = False
    authentication_classes: Sequence[type[BaseAuthentication]] = (BearerKey,)
    permission_classes = ()
    http_method_names = ["get", "head", "post", "put", "patch", "delete", "options"]
    content_negotiation_class: type[BaseContentNegotiation] = JsonOnly
    renderer_classes = (JSONRenderer,)
    parser_classes = ()
    throttle_classes = ()
    metadata_class = None
    # Who asks, once that is known: who does not send a key is answered too.
    asking: principals.Principal | None = None

    @property
    def principal(self) -> principals.Principal:
        """Who asks."""
        return cast("principals.Principal", self.request.auth)

    @property
    def is_masked(self) -> bool:
        """Whether payloads are masked: those of everything but knowledge base and platform, for keys that say so."""
        if self.asking is None or PAYLOADS in self.asking.scopes:
            return False
        scope = self.scopes.get("GET" if self.request.method == "HEAD" else str(self.request.method), "")
        return bool(scope) and not scope.startswith(payload_fields.WITHOUT)

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)
        self.asking = cast("principals.Principal | None", request.auth)
        if self.asking is not None:
            tenant_context.enter(self.asking.tenant_ids)

    @property
    def allowed_methods(self) -> list[str]:
        """The methods of this address, which every answer names in `Allow`."""
        return sorted(super().allowed_methods)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method == "OPTIONS":
            return
        super().initial(request, *args, **kwargs)
        method = "GET" if request.method == "HEAD" else str(request.method)
        if scope := self.scopes.get(method):
            self.principal.require(scope)
            if scope in OPERATOR_SCOPES:
                # What these show and change concerns every tenant.
                tenant_context.enter(None)
        if method in self.allowed_methods and self.takes_no_query(method) and not self.ignores_parameters:
            query.read(request, query.Nothing)

    def takes_no_query(self, method: str) -> bool:
        """Whether a method reads no parameter behind the question mark."""
        return method not in self.contract or self.contract[method].query is None

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Say which methods there are, also to who sends no key."""
        return Response(status=204)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        # What a tenant reads is its own: no cache between us may keep it.
        response.headers.setdefault("Cache-Control", "no-store")
        if self.is_masked and isinstance(response, Response) and response.status_code < 400:
            response.data = payload_fields.hidden(response.data)
        return super().finalize_response(request, response, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Any:
        """Answer every error with a problem document; nothing reaches Django's own error pages."""
        database.drop_sessions_after(exc)
        problem = problems.of(exc, allowed=self.allowed_methods)
        if problem.kind.status == 401:
            asked = next(iter(self.get_authenticators()), None) or BearerKey()
            problem.headers["WWW-Authenticate"] = str(asked.authenticate_header(self.request))
        return problem.response(instance=self.request.path)


class PublicEndpoint(Endpoint):
    """Open to everybody."""

    authentication_classes = ()


def identifier(text: str, *, noun: str) -> UUID:
    """Read an id in an address.

    Raises:
        NotFound: it is no UUID; the words are those for an id that nobody has.
    """
    # Python reads braces, `urn:uuid:` and hyphens anywhere too: of a record there is one address.
    if not _ID.fullmatch(text):
        raise NotFound(f"This tenant has no {noun} {text}.")
    return UUID(text)


def number(text: str, *, noun: str) -> int:
    """Read an id that is a number in an address.

    Raises:
        NotFound: it is none; the words are those for an id that nothing has.
    """
    found = bounds.whole(text, most=bounds.LARGEST_BIGINT)
    if found is None:
        raise NotFound(f"There is no {noun} {text}.")
    return found
