"""sample_reply."""

from tests.admin import kinds as kinds
