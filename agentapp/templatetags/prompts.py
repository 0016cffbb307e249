"""Filters for prompts: `{% load prompts %}`, `{{ body|inert }}` inside a tag, `{{ title|attribute }}` within one."""

from __future__ import annotations

from django import template

from agentapp.policies import markup

register = template.Library()
register.filter("inert", markup.inert)
register.filter("attribute", markup.inert_attribute)
