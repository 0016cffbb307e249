"""Translate a text into several languages at once."""

from pydantic import BaseModel, ConfigDict

from agentapp import registry
from agentapp.flows import FanOut, Flow, Join


class TranslationsInput(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid")

    text: str
    languages: list[str]


translations = registry.add_flow(
    Flow(
        kind="translations",
        version=1,
        title="Translate a text",
        input=TranslationsInput,
        stages=(
            FanOut(
                "translate_text",
                over="input.languages",
                each="language",
                bind={"text": "input.text"},
                join=Join("settled"),
            ),
        ),
        result={"translations": "translate_text"},
    )
)
