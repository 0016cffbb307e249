"""Who may decide on an approval, by the rules of the policy that asked. Pure.

`lifecycle/sql/07_policies.sql` decides the same behind the lock; this tells people before they try, and in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Rules = Mapping[str, Any]
ALLOWED, GROUP, KEY, CREATOR, EDITOR, LENT = "", "group", "key", "creator", "editor", "lent"
# What the rules of an approval are that no policy has asked.
NONE: Rules = {
    "name": "", "approvers": [], "four_eyes": False, "quorum": 1, "escalate_to": [], "may_change_recipient": False,
}  # fmt: skip


@dataclass(frozen=True)
class Decider:
    """Somebody who would decide. `is_creator`: they asked for the task, or for one that it is a fork or a part of;
    `has_edited`: some revision of this approval is theirs. `lent` are the groups of people in whose place they decide,
    `lent_by_authors` those of such people who asked for the task or have edited it."""

    groups: frozenset[str] = frozenset()
    is_key: bool = False
    is_creator: bool = False
    has_edited: bool = False
    lent: frozenset[str] = frozenset()
    lent_by_authors: frozenset[str] = frozenset()


def deciding_groups(rules: Rules, *, is_escalated: bool) -> list[str]:
    """Return the groups whose members may decide; none: all who have the right to."""
    groups = list(rules["approvers"])
    return groups + [name for name in rules["escalate_to"] if name not in groups] if groups and is_escalated else groups


def wants_people(rules: Rules) -> bool:
    """Whether several people, or another one than the author, must approve: a key is no person, and one person may hold
    several."""
    return bool(rules["four_eyes"] or rules["quorum"] > 1)


def rule_against(rules: Rules, decider: Decider, *, is_escalated: bool, approves: bool = True) -> str:
    """Return the rule by which somebody may not decide; `approves`: these bytes. Empty: they may."""
    groups = deciding_groups(rules, is_escalated=is_escalated)
    by_others = (decider.groups | decider.lent).intersection(groups)
    if groups and not by_others and not decider.lent_by_authors.intersection(groups):
        return GROUP
    if not approves:
        return ALLOWED
    if decider.is_key and wants_people(rules):
        return KEY
    if not rules["four_eyes"]:
        return ALLOWED
    if decider.is_creator:
        return CREATOR
    if decider.has_edited:
        return EDITOR
    # Nobody lets a colleague do in their place what they may not do themselves.
    return LENT if groups and not by_others else ALLOWED


def sentence(rule: str, rules: Rules, *, is_escalated: bool) -> str:
    """Say why somebody may not decide."""
    by = f"The policy {rules['name']} asks for four eyes"
    if rule == GROUP:
        groups = ", ".join(deciding_groups(rules, is_escalated=is_escalated))
        return f"By the policy {rules['name']} only people of these groups decide here: {groups}."
    if rule == KEY:
        wants = f"The policy {rules['name']} asks for {rules['quorum']} people" if rules["quorum"] > 1 else by
        return f"{wants}: an API key is no person, so it neither approves nor edits here. It may reject."
    if rule == CREATOR:
        return (
            f"{by}: who submitted the task, or one that it is a fork or a part of, does not approve it. "
            "Somebody else must."
        )
    if rule == LENT:
        return (
            f"{by}: the person in whose place you decide has submitted the task or edited the text, and may not "
            "approve it. Somebody else must."
        )
    return f"{by}: who edited the text does not approve it. Somebody else must." if rule == EDITOR else ""


def shortage(groups: list[str], *, able: int, needed: int) -> str:
    """Say that too few people can approve; without groups all who have the right to are meant."""
    who = f"the groups {', '.join(groups)}" if groups else "those who have the right to decide"
    return f"{needed} of {who} must approve, and by the members of now {able or 'none'} can."
