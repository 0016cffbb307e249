"""/model-choices: which model the jobs of a tenant and a job type call. For who runs the platform."""

from __future__ import annotations

from typing import Annotated, Any, cast

import pydantic
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, conditional, links, pages, query, shapes
from agentapp.api.answers import model_choices as answers
from agentapp.api.contract.headers import AS_READ, LOCATION, changed, tagged
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, number
from agentapp.api.model_choice_bodies import ChangeModelChoice, NewModelChoice
from agentapp.models import ModelChoice
from agentapp.policies import bounds
from agentapp.services import model_choices

ChoiceId = Annotated[int, pydantic.Field(ge=1, le=bounds.LARGEST_BIGINT, description="The id of the model choice.")]


def shape(row: ModelChoice) -> answers.ModelChoice:
    names = (*model_choices.SETTABLE, "limit_name", "fallback_limit_name")
    values = {name: getattr(row, name) for name in names} | {"tenant": row.tenant.slug if row.tenant else None}
    return cast("answers.ModelChoice", {"id": row.pk, **values, "updated_at": shapes.time(row.updated_at)})


class ModelChoices(Endpoint):
    """GET /model-choices, POST /model-choices."""

    scopes = {"GET": model_choices.READ, "POST": model_choices.WRITE}
    contract = {
        "GET": Operation(
            "list_model_choices", "List which models jobs call", query=query.Page,
            answers={200: page(answers.ModelChoice)},
        ),
        "POST": Operation(
            "make_model_choice", "Choose a model", body=NewModelChoice,
            answers={201: one(answers.ModelChoice, "The model choice.", LOCATION)},
        ),
    }  # fmt: skip

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        rows = model_choices.listing(self.principal)
        return pages.page(request, rows, wanted, shapes=shapes.each(shape), order=pages.FIRST_WRITTEN_FIRST)

    def post(self, request: Request) -> Response:
        wanted = body.read(request, NewModelChoice)
        choice = model_choices.save(self.principal, ModelChoice(), wanted.values(), reason=wanted.reason)
        headers = {"Location": links.to(f"/model-choices/{choice.pk}")}
        return Response(shape(choice), status=201, headers=headers)


class OneModelChoice(Endpoint):
    """GET, PUT, PATCH and DELETE /model-choices/{id}."""

    scopes = {
        "GET": model_choices.READ, "PUT": model_choices.WRITE, "PATCH": model_choices.WRITE,
        "DELETE": model_choices.WRITE,
    }  # fmt: skip
    contract = {
        "GET": Operation("get_model_choice", "Read a model choice", **tagged(answers.ModelChoice)),
        "PUT": Operation(
            "replace_model_choice", "Replace a model choice", body=NewModelChoice, **changed(answers.ModelChoice)
        ),
        "PATCH": Operation(
            "change_model_choice", "Change a model choice", body=ChangeModelChoice, **changed(answers.ModelChoice)
        ),
        "DELETE": Operation(
            "delete_model_choice", "Delete a model choice", query=query.Delete,
            answers={204: nothing("It is deleted.")}, **AS_READ,
        ),
    }  # fmt: skip
    path_parameters = {"choice_id": ChoiceId}

    def get(self, request: Request, choice_id: str) -> Response:
        return conditional.read(request, shape(self._choice(choice_id)))

    def put(self, request: Request, choice_id: str) -> Response:
        """Make the choice what the body says; what it leaves out has its default then."""
        choice = self._choice(choice_id)
        wanted = body.read(request, NewModelChoice)
        return self._save(request, choice, wanted.whole(), reason=wanted.reason)

    def patch(self, request: Request, choice_id: str) -> Response:
        """Fields that are not sent stay as they are. A change that changes nothing is not recorded."""
        choice = self._choice(choice_id)
        wanted = body.read(request, ChangeModelChoice)
        return self._save(request, choice, wanted.values(), reason=wanted.reason)

    def delete(self, request: Request, choice_id: str) -> Response:
        wanted = query.read(request, query.Delete)
        choice = self._choice(choice_id)
        with conditional.as_read(request, shape(choice), choice.updated_at) as as_read:
            model_choices.delete(self.principal, choice, reason=wanted.reason, as_read=as_read)
        return Response(status=204)

    def _save(self, request: Request, choice: ModelChoice, values: dict[str, Any], *, reason: str) -> Response:
        with conditional.as_read(request, shape(choice), choice.updated_at) as as_read:
            saved = model_choices.save(self.principal, choice, values, reason=reason, as_read=as_read)
        return conditional.tagged(shape(saved))

    def _choice(self, choice_id: str) -> ModelChoice:
        return model_choices.get(self.principal, number(choice_id, noun="model choice"))
