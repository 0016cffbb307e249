"""Where a run of an agent is at its next turn: what was said, and what it may still spend. [C5]"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentapp.llm.answers import Message, OfferedTool
from agentapp.policies import budgets, compaction
from agentapp.runtime.context import JobContext
from agentapp.runtime.day_budget import prompt_tokens
from agentapp.tools import conversation, summaries
from agentapp.tools.conversation import Spoken, Turn
from agentapp.tools.registry import Tool
from agentapp.tools.summaries import Summaries

Json = dict[str, Any]
# Characters of the instructions of clients that stay beside a summary, where no setting says how long is too long.
MOST_KEPT = 50_000
# Tokens of an answer.
MOST_ANSWERED = 8_000


@dataclass(frozen=True)
class Run:
    """`told` are the turns of the conversation, of its earlier tasks too, `unread` the messages that no turn has read.
    `heard` counts those of this task, `heard_before` those that earlier turns have read. `others` are the scopes of
    others who are behind its earlier tasks."""

    ctx: JobContext
    told: list[Turn]
    unread: list[Spoken]
    heard: int
    given: Json | None
    # What was decided about the budget of this task, oldest first.
    decisions: list[tuple[str, Json]]
    others: list[frozenset[str]]
    summaries: Summaries

    @property
    def own(self) -> list[Json]:
        """The messages of the model in this task."""
        return [turn.said["message"] for turn in self._own()]

    @property
    def heard_before(self) -> int:
        return max((turn.said["heard"] for turn in self._own()), default=0)

    @property
    def turns_since_answer(self) -> int:
        return conversation.since_answer(self.told, self.ctx.workflow_id)

    def may(
        self, messages: Sequence[Message], tools: Sequence[OfferedTool], *, max_tokens: int
    ) -> budgets.May | budgets.Ask:
        """Say whether the next call is within the budget."""
        if not self.given:
            return budgets.May(max_tokens)
        approved = [
            self.ctx.approved(decided["approval_id"]).content
            for _, decided in self.decisions
            if decided.get("decision") == "approved"
        ]
        return budgets.decide(
            budgets.of(self.given, approved), self.ctx.spent(turns=len(self._own())),
            prompt_tokens=prompt_tokens(messages, tools), max_tokens=max_tokens,
            price=self.ctx.model.price,
        )  # fmt: skip

    def next_group(self) -> list[Json]:
        """Return the calls of the last turn that are to be run now, before the model is asked again; none where it is
        to hear first what a client has said meanwhile."""
        if not self.told or self.told[-1].task != self.ctx.workflow_id:
            return []
        group = self.told[-1].next_group
        return [] if group and self.unread and self.ctx.is_interrupted_by_messages() else group

    @property
    def limit_tokens(self) -> int:
        """What is longer is summarized, because of the models that may answer or the setting; 0: nothing is."""
        return self.ctx.model.most_told(answer_tokens=MOST_ANSWERED)

    def messages(self) -> list[Message]:
        """What is told of the turns so far: a summary of the first ones, where there is one, and the others as they
        were."""
        latest, most = self.summaries.latest, self.limit_tokens // 2 or MOST_KEPT
        return list(summaries.messages(self.told, latest, read=self.ctx.artifacts.read, most=most))

    @property
    def is_tainted(self) -> bool:
        """Whether it has read what others wrote, in any turn: what is summarized counts like the summary."""
        read = [turn.is_tainted for turn in self.told] + [message.is_untrusted for message in self.unread]
        return any(read) or self.summaries.latest.is_tainted

    def to_summarize(
        self, messages: Sequence[Message], tools: Sequence[OfferedTool], *, is_refused: bool = False
    ) -> int:
        """Return how many turns, from the first one, are to be replaced by a summary before this is told to the model;
        0 where it is short enough, or a summary would not help. `is_refused`: the model has found it too long."""
        limit, past, told = self.limit_tokens, self.summaries, prompt_tokens(messages, tools)
        if is_refused:
            limit = min(limit or told, told // 2)
        if not limit or told <= limit:
            return 0
        if not compaction.may_try(turns_since=len(self.told) - past.tried_at, has_failed=past.has_failed):
            return 0
        read = self.ctx.artifacts.read
        sizes = [prompt_tokens(list(conversation.messages([turn], read=read))) for turn in self.told]
        covers = compaction.covered(sizes, already=past.latest.covers, limit=limit)
        # Plans that began with an earlier release have no stage for it.
        return covers if covers and self.ctx.is_planned(conversation.SUMMARY) else 0

    def is_of_lesser(self, tools: Mapping[str, Tool]) -> bool:
        """Whether somebody who may not use all these tools is behind an earlier task: what that one has instructed must
        not be carried out, unseen, with the permission of who goes on with it."""
        return any(tool.scope and tool.scope not in scopes for tool in tools.values() for scopes in self.others)

    def is_rejected(self, ask: budgets.Ask) -> bool:
        """Whether a person has said no to this question, and to none since."""
        if not self.decisions:
            return False
        asked, decided = self.decisions[-1]
        return asked == ask.content["budget"] and decided.get("decision") == "rejected"

    def _own(self) -> list[Turn]:
        return [turn for turn in self.told if turn.task == self.ctx.workflow_id]


def read(ctx: JobContext, budget: Json | None) -> Run:
    """Read what the tasks of the conversation have stored."""
    stored = ctx.conversation(conversation.TURN, conversation.APPROVAL, conversation.RESULTS, conversation.SUMMARY)
    told, unread = conversation.turns(stored.stages, stored.messages)
    heard = sum(message.workflow_id == ctx.workflow_id for message in stored.messages)
    decisions = conversation.budget_decisions(stored.stages, ctx.workflow_id)
    return Run(ctx, told, unread, heard, budget, decisions, stored.others, summaries.read(stored.stages))
