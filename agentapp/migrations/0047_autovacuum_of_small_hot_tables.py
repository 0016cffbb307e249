"""Autovacuum looks after the small tables that change all the time as after those of every step (0041): there may be a
limit for each tenant and a row for each process, and each of their rows changes many times a minute.
"""

from django.db import migrations

TABLES = ("limit", "worker", "dispatcherlease")
OPTIONS = {
    "autovacuum_vacuum_scale_factor": 0.01, "autovacuum_vacuum_threshold": 100,
    "autovacuum_analyze_scale_factor": 0.02, "autovacuum_analyze_threshold": 500,
}  # fmt: skip
PUT = ", ".join(f"{name} = {value}" for name, value in OPTIONS.items())


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0046_moves_0010")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE agentapp_{table} SET ({PUT})", f"ALTER TABLE agentapp_{table} RESET ({', '.join(OPTIONS)})"
        )
        for table in TABLES
    ]
