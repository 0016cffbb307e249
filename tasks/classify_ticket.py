"""Say what a ticket is about, how urgent and how risky it is, and which sources may know the answer."""

from typing import Any

from agentapp.policies import priority
from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import sources
from agentapp.runtime import JobContext, job

CATEGORIES = {
    "billing": "invoices, payments, refunds, prices, plans",
    "account": "signing in, passwords, users, roles, permissions",
    "technical": "something fails, an error, slow, broken, a bug",
    "how_to": "how to do, set up or configure something, what a word means",
    "other": "anything else",
}
RISKS = {
    "low": "a plain question",
    "medium": "money, deletion, personal data, a complaint",
    "high": "law, security, threats, harm to a person",
}
URGENCIES = {
    "low": "no hurry",
    "normal": "the usual question",
    "high": "somebody cannot go on with their work",
    "urgent": "an outage, loss of data or money right now",
}


@job(queue="model", scopes={"model:call"}, timeout_s=60, retry=RetryPolicy())
def classify_ticket(ctx: JobContext, *, subject: str, body: str) -> dict[str, Any]:
    prompt = ctx.render("prompts/classify_ticket.txt", subject=subject, body=body)
    system = ctx.render("prompts/classify_ticket.system.txt")
    reply = ctx.model.complete(prompt, system=system, schema=schema(), schema_name="ticket")
    ticket: dict[str, Any] = reply.data or {}
    asked = [source.name for source in sources.registered() if source.always or source.name in ticket["sources"]]
    return {**ticket, "priority": priority.by_name(ticket["urgency"]), "sources": asked}


def schema() -> dict[str, Any]:
    """The JSON schema of the model's answer; the sources are those that are registered in this process."""
    descriptions = {source.name: source.description for source in sources.registered()}
    properties = {
        "category": _one_of(CATEGORIES, "what the ticket is about"),
        "urgency": _one_of(URGENCIES, "how soon the customer needs an answer"),
        "risk": _one_of(RISKS, "harm that a wrong answer can do"),
        "sources": {"type": "array", "items": _one_of(descriptions, "which sources may know the answer")},
        "language": {"type": "string", "description": "language of the ticket as a two-letter code, such as en"},
        "reason": {"type": "string", "description": "why, in one sentence"},
    }
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def _one_of(meanings: dict[str, str], what: str) -> dict[str, Any]:
    said = "; ".join(f"{value}: {meaning}" for value, meaning in meanings.items())
    return {"type": "string", "enum": list(meanings), "description": f"{what}. {said}"}
