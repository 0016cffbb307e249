"""Autovacuum looks after the tables of every step by what has changed, not by how large they have become.

By default it waits until a fifth of a table is dead: of seven million jobs, 1.4 million. Rows that are only put in are
vacuumed in small portions too, so that none of these takes hours.
"""

from django.db import migrations

# Changed at every step of a task.
CHANGED = ("job", "workflow", "stage", "effect", "approval")
# Only put in, and deleted when their tasks are.
PUT_IN = ("history", "attempt", "modelcall", "searchentry", "auditentry")
OF_CHANGED = {
    "autovacuum_vacuum_scale_factor": 0.01, "autovacuum_vacuum_threshold": 2000,
    "autovacuum_analyze_scale_factor": 0.02, "autovacuum_vacuum_insert_scale_factor": 0.05,
}  # fmt: skip
OF_PUT_IN = {
    "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_threshold": 5000,
    "autovacuum_analyze_scale_factor": 0.05, "autovacuum_vacuum_insert_scale_factor": 0.05,
}  # fmt: skip


def _change(tables: tuple[str, ...], options: dict[str, float]) -> list[migrations.RunSQL]:
    put = ", ".join(f"{name} = {value}" for name, value in options.items())
    taken = ", ".join(options)
    return [
        migrations.RunSQL(f"ALTER TABLE agentapp_{table} SET ({put})", f"ALTER TABLE agentapp_{table} RESET ({taken})")
        for table in tables
    ]


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0040_moves_0009")]

    operations = [*_change(CHANGED, OF_CHANGED), *_change(PUT_IN, OF_PUT_IN)]
