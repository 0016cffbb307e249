"""Tool servers of tenants: made, changed, asked for their tools; and who says which of these only read. For operators:
addresses and keys are the platform's. [C11]"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import QuerySet

from agentapp import secret_refs
from agentapp.delivery.guarded_http import Guard, NoAnswer
from agentapp.dispatch import publisher
from agentapp.errors import CannotBeSent, IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import database
from agentapp.lifecycle import tool_servers as moves
from agentapp.models import ServerTool, Tenant, ToolServer
from agentapp.policies import storable, tool_servers
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.services import unchanged, validation
from agentapp.services.principals import Principal
from agentapp.states import ToolAccess
from agentapp.tools.servers import opening, session

READ, WRITE = "tool_servers:read", "tool_servers:write"
TEXTS = ("url", "key_variable", "note")
FLAGS = ("is_enabled", "asks_when_tainted", "is_sequential")
SETTABLE = (*TEXTS, *FLAGS)
# A change of these asks it for its tools.
OF_LISTING = ("url", "key_variable", "is_enabled")
# Said once, when it is made.
FIXED = ("tenant", "name")
LONGEST = {name: getattr(ToolServer._meta.get_field(name), "max_length", 0) for name in (*TEXTS, "name")}
MOST_SERVERS = 50
_NAME_WORDS = "A name begins with a small letter, and has small letters, digits and single underscores, 30 at most."
_KEY_WORDS = f"Name an environment variable of the workers: {secret_refs.MCP_KEY} and capital letters, digits or _."


def listing(principal: Principal) -> QuerySet[ToolServer]:
    """All tool servers, in the order in which they were made."""
    # Who changes something is answered with what it has become.
    if WRITE not in principal.scopes:
        principal.require(READ)
    return ToolServer.objects.select_related("tenant").order_by("id")


def get(principal: Principal, server_id: int) -> ToolServer:
    """Raises NotFound."""
    server = listing(principal).filter(pk=server_id).first()
    if server is None:
        raise NotFound(f"There is no tool server {server_id}.")
    return server


def tools(principal: Principal, server: ToolServer) -> QuerySet[ServerTool]:
    """The tools that a server has listed."""
    listing(principal)
    return ServerTool.objects.filter(server=server).select_related("server__tenant").order_by("id")


def tool(principal: Principal, server: ToolServer, tool_id: int) -> ServerTool:
    """Raises NotFound."""
    return _one_of(tools(principal, server), tool_id)


def save(
    principal: Principal, server: ToolServer, values: dict[str, Any], *, reason: str = "",
    as_read: datetime | None = None, by: Guard | None = None,
) -> ToolServer:  # fmt: skip
    """Make a tool server or change one; it holds from the next turn of an agent on. A new one, and one with a new
    address, is asked for its tools. What `values` leaves out stays as it is. `as_read`: only one that was last changed
    at that moment.

    Raises:
        IllegalMove: somebody has changed it since.
        InvalidInput: a value does not fit; nothing is stored.
        NotFound: somebody has deleted it.
        PermissionDenied: the scope tool_servers:write is missing.
    """
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    # Names are looked up before a row is locked.
    url = str(values.get("url", server.url)).strip()
    validation.raise_problems(_of_url(url, server, by or session.guard()))
    with database.atomic():
        server = _locked(server, as_read) if server.pk else server
        before = moves.fields_of(server) if server.pk else None
        validation.raise_problems([*_of_new(server, values), *_set(server, values)])
        if moves.fields_of(server) == before:
            return server
        _keep(server, before, principal.actor, reason)
    if server.is_enabled and (before is None or any(before[name] != getattr(server, name) for name in OF_LISTING)):
        return refresh(principal, server)
    return server


def delete(principal: Principal, server: ToolServer, *, reason: str = "", as_read: datetime | None = None) -> None:
    """Take a tool server away, and its tools. Raises NotFound when it is gone already, and as `save`."""
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    with database.atomic():
        moves.remove(_locked(server, as_read), actor=principal.actor, reason=reason)


def refresh(principal: Principal, server: ToolServer) -> ToolServer:
    """Ask a server for its tools, by a task of its tenant that `task_id` names. A listing that still runs stores
    nothing any more.

    Raises:
        IllegalMove: it is disabled.
        NotFound: it is gone.
    """
    principal.require(WRITE)
    with database.atomic():
        server = _locked(server)
        if not server.is_enabled:
            raise IllegalMove(f"The tool server {server} is disabled.")
        opened = moves.begin_listing(server, actor=principal.actor)
    publisher.publish(opened)
    return server


def decide(
    principal: Principal, server: ToolServer, tool_id: int, *, access: str, sha256: str, reason: str = ""
) -> ServerTool:
    """Say whether a tool reads or writes. `sha256` is of the description that the person has seen.

    Raises:
        IllegalMove: its server describes it differently since.
        InvalidInput: there is no such access.
        NotFound: the server has no such tool any more.
    """
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    if access not in ToolAccess.values:
        raise InvalidInput.at("access", f"Choose one of {', '.join(ToolAccess.values)}.")
    with database.atomic():
        found = _one_of(tools(principal, server).select_for_update(of=("self",)), tool_id)
        if found.sha256 != sha256:
            raise IllegalMove(f"The tool {found} has changed since it was shown. Read its description again.")
        if found.access != access or found.changed_at is not None:
            moves.decide(found, ToolAccess(access), actor=principal.actor, reason=reason)
    return found


def _one_of(rows: QuerySet[ServerTool], tool_id: int) -> ServerTool:
    found = rows.filter(pk=tool_id).first()
    if found is None:
        raise NotFound(f"This tool server has no tool {tool_id} any more.")
    return found


def _locked(server: ToolServer, as_read: datetime | None = None) -> ToolServer:
    rows = ToolServer.objects.select_for_update(of=("self",)).select_related("tenant")
    return unchanged.check(rows.filter(pk=server.pk).first(), f"tool server {server.pk}", as_read=as_read)


def _keep(server: ToolServer, before: dict[str, Any] | None, actor: str, reason: str) -> None:
    try:
        with database.atomic():
            moves.keep(server, before=before, actor=actor, reason=reason)
    except IntegrityError as error:
        raise InvalidInput.at("name", f"This tenant has a tool server named {server.name} already.") from error


def _of_url(url: str, server: ToolServer, guard: Guard) -> Iterator[tuple[str, str]]:
    """What is wrong with an address that is news. Its name is looked up, now and again at each call."""
    if not url:
        yield "url", "This needs a value."
    elif len(url) > LONGEST["url"]:
        yield "url", f"This is a text of at most {LONGEST['url']} characters."
    elif url != server.url:
        try:
            opening.check(url, guard)
        except (TargetNotAllowed, NoAnswer, CannotBeSent) as error:
            yield "url", str(error)


def _of_new(server: ToolServer, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Set what is said once; that cannot change, because models, gates and approvals know the tools by it."""
    slug, name = str(values.get("tenant") or ""), str(values.get("name", server.name)).strip()
    if server.pk:
        if name != server.name:
            yield "name", "A name cannot change. Make another tool server."
        if slug and slug != server.tenant.slug:
            yield "tenant", "The tenant cannot change. Make another tool server."
        return
    tenant = Tenant.objects.filter(slug=slug).first() if storable.is_storable(slug) else None
    if tenant is None:
        yield "tenant", f"There is no tenant {slug!r}."
    elif ToolServer.objects.filter(tenant=tenant).count() >= MOST_SERVERS:
        yield "tenant", f"A tenant may have {MOST_SERVERS} tool servers. Delete one first."
    else:
        server.tenant = tenant
    if len(name) > LONGEST["name"] or not tool_servers.SERVER_NAME.fullmatch(name):
        yield "name", _NAME_WORDS
    server.name = name


def _set(server: ToolServer, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in TEXTS:
        text = str(values.get(name, getattr(server, name))).strip()
        if len(text) > LONGEST[name] or not storable.is_storable(text):
            yield name, f"This is a text of at most {LONGEST[name]} characters."
        setattr(server, name, text)
    if server.key_variable and not secret_refs.is_ref(server.key_variable, prefix=secret_refs.MCP_KEY):
        yield "key_variable", _KEY_WORDS
    for name in FLAGS:
        setattr(server, name, bool(values.get(name, getattr(server, name))))
