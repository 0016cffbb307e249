"""Filters of a list that a person has kept under a name."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class SavedView(models.Model):
    """The query of a list, as a link for the person that kept it. Its tenant is one of its filters."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    page = models.CharField(max_length=50, help_text="the list, such as workflow")
    name = models.CharField(max_length=100)
    query = models.TextField(help_text="what stands behind the question mark")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "page", "name"), name="saved_view_once"),)

    def __str__(self) -> str:
        return self.name
