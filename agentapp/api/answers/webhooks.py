"""Who is told when something happens to a task, and what was sent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.tasks import Task
from agentapp.api.answers.values import Id, Moment, Object, one_of
from agentapp.policies import webhook_formats, webhooks
from agentapp.states import DeliveryState


class WebhookEndpoint(TypedDict):
    """An address that is told of tasks."""

    id: Id
    url: str
    description: str
    events: Annotated[list[str], Field(description="which it is told of; empty: of all")]
    format: Annotated[str, one_of(webhook_formats.FORMATS)]
    is_enabled: bool
    disabled_at: Moment | None
    disabled_reason: str | None
    failing_since: Moment | None
    previous_secret_until: Annotated[Moment | None, Field(description="until then the secret before signs too")]
    created_at: Moment
    updated_at: Moment


class WebhookEndpointWithSecret(WebhookEndpoint):
    """An endpoint with its secret, which is shown this once."""

    secret: str


class CallbackSecret(TypedDict):
    """What signs the requests to the callback_url of tasks."""

    secret: str


class DeliveryAttempt(TypedDict):
    """One request, and what came of it."""

    at: Moment
    status: int | None
    error: str | None
    ms: int
    answer: Annotated[str, Field(description="the begin of the content of the answer")]


class TaskEvent(TypedDict):
    """Something has happened to a task, which is shown as it was then."""

    type: Annotated[str, one_of(webhooks.EVENTS)]
    timestamp: Moment
    data: Task


class TestedEndpoint(TypedDict):
    """The endpoint that is tested."""

    endpoint: Id


class TestEvent(TypedDict):
    """Somebody tests an endpoint."""

    type: Literal["webhook.test"]
    timestamp: Moment
    data: TestedEndpoint


class WebhookDelivery(TypedDict):
    """One event for one address."""

    id: Id
    webhook_id: Annotated[str, Field(description="the header webhook-id: the same for all sends of one event")]
    event: Annotated[str, one_of((*webhooks.EVENTS, webhooks.TEST_EVENT))]
    task: Id | None
    endpoint: Annotated[Id | None, Field(description="null where it is the callback_url of its task")]
    url: str
    state: Annotated[str, one_of(DeliveryState.values)]
    reason: str | None
    next_attempt_at: Moment | None
    attempts: list[DeliveryAttempt]
    payload: Object | None
    created_at: Moment
