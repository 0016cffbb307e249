"""Write a note about a customer into the CRM, once."""

from agentapp import registry
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job

from my_company import crm

registry.add_worker_class("crm", scopes={"crm:write"})


@job(queue="crm", scopes={"crm:write"}, timeout_s=30, retry=RetryPolicy())
def note_in_crm(ctx: JobContext, *, customer: str, note: str) -> dict[str, str]:
    def write(effect_id: str) -> dict[str, str]:
        return {"note_id": crm.add_note(key=effect_id, customer=customer, text=note)}

    request = {"customer": customer, "note": note}
    return ctx.effect(f"crm-note:{ctx.root_id}", write, type="crm_note", request=request, is_idempotent=True)
