"""One event to one receiver: deliver_webhook."""

from pydantic import BaseModel, ConfigDict

from agentapp import registry
from agentapp.flows import Flow, Step


class WebhookDeliveryInput(BaseModel):
    """Which delivery: its row has the rest."""

    model_config = ConfigDict(extra="forbid")

    delivery_id: str


webhook_delivery = registry.add_flow(
    Flow(
        kind="webhook_delivery",
        version=1,
        title="Webhook delivery",
        input=WebhookDeliveryInput,
        stages=(Step("deliver_webhook", bind={"delivery_id": "input.delivery_id"}),),
        result={"outcome": "deliver_webhook.outcome", "reason": "deliver_webhook.reason"},
        internal=True,
    )
)
