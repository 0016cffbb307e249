"""Make the vectors of a tenant's texts again, by the embedding model that is configured now. [C9]

    find_stale_vectors  <--+
        |                  |
    reembed_texts          |  one job for each document, and for each batch of facts
        |                  |
    switch_vectors  -------+  until no text is without a vector

Searches use the vectors before until all new ones are there. It may be cancelled and started again at any time.
"""

from pydantic import BaseModel, ConfigDict

from agentapp import registry
from agentapp.flows import FanOut, Flow, Repeat, Step, When

# A round takes a thousand documents, of each a few calls.
MOST_ROUNDS = 5_000


class ReembedInput(BaseModel):
    """Nothing: all that the tenant has."""

    model_config = ConfigDict(extra="forbid")


SPACE = {name: f"find_stale_vectors.{name}" for name in ("model", "dimension")}

reembed = registry.add_flow(
    Flow(
        kind="reembed",
        version=1,
        title="Embed all texts again",
        input=ReembedInput,
        stages=(
            Step("find_stale_vectors"),
            FanOut("reembed_texts", over="find_stale_vectors.parts", each="part", bind=SPACE),
            Step(
                "switch_vectors",
                bind=SPACE,
                repeat=Repeat(
                    "find_stale_vectors", when=When("switch_vectors.is_complete", equals=False), at_most=MOST_ROUNDS
                ),
            ),
        ),
        result=SPACE | {"left": "switch_vectors.left"},
        internal=True,
    )
)
