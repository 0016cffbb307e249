"""Careless bodies: they write the secrets that their process holds wherever a body can write."""

from __future__ import annotations

import json
import logging
import os
from typing import Any
from urllib.parse import urlsplit

import pydantic
from django.conf import settings

from agentapp import registry
from agentapp.errors import PermanentError
from agentapp.flows import Flow, Step
from agentapp.runtime import JobContext, job, preview

CANARIES = {"MODEL_KEY_CANARY": "canary-of-a-model-3f\"7'<9", "TOOL_SECRET_CANARY": "canary-of-a-tool-8a%2c d"}
_log = logging.getLogger("my_company.agents")


class Nothing(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


def held() -> list[str]:
    """What this process knows and must not tell."""
    named = (os.environ.get(name, "") for name in CANARIES)
    return [value for value in (*named, settings.SECRET_KEY, urlsplit(settings.BROKER_URL).password or "") if value]


@job(queue="model")
def leak_in_words(ctx: JobContext) -> dict[str, Any]:
    secrets = held()
    _log.warning("I hold %s", secrets)
    ctx.checkpoint({"held": secrets})
    with preview.of(ctx._job) as shown:
        for secret in secrets:
            shown.write(secret[:7])
            shown.write(secret[7:] + " ")
    return {"held": secrets, "by name": {secret: [secret] for secret in secrets},
            "artifact": ctx.artifacts.write(json.dumps(secrets))}  # fmt: skip


@job(queue="send", scopes={"mail:send"})
def leak_in_an_effect(ctx: JobContext) -> dict[str, Any]:
    secrets = held()
    return ctx.effect(
        f"leak:{ctx.workflow_id}",
        lambda effect_id: {"answer": secrets},
        type="leak",
        request={"n": 1},
        is_idempotent=True,
    )


@job(queue="send", scopes={"mail:send"})
def leak_in_an_error(ctx: JobContext) -> dict[str, Any]:
    secrets = held()
    try:
        raise KeyError(*secrets)
    except KeyError as error:
        raise PermanentError(f"It failed with {json.dumps(secrets)}.") from error


registry.add_flow(
    Flow(kind="leaking", version=1, input=Nothing,
         stages=(Step("leak_in_words"), Step("leak_in_an_effect"), Step("leak_in_an_error")))
)  # fmt: skip
