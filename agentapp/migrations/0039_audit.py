"""The audit chain: its table, and the triggers that write an entry beside each record that it tells of.

Triggers, because also the release before, and statements by hand, must leave entries. They write with
the rights of the owner of the tables: no role of a process may write entries itself.
"""

from django.db import migrations, models
from django.db.models import Q

# The moment as a number: as a text it depends on the time zone of the session.
_DETAILS = """
CREATE FUNCTION agentapp_audit_detail(r agentapp_gatechange) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(sha256(convert_to(jsonb_build_array(
    extract(epoch FROM r.at), r.actor, r.action, r.target, r.before, r.after, r.reason)::text, 'UTF8')), 'hex') $$;
CREATE FUNCTION agentapp_audit_detail(r agentapp_history) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(sha256(convert_to(jsonb_build_array(
    r.workflow_id, r.seq, extract(epoch FROM r.at), r.noun, r.job_id, r.approval_id, r.from_state, r.to_state, r.actor,
    r.reason, r.data)::text, 'UTF8')), 'hex') $$;
CREATE FUNCTION agentapp_audit_detail(r agentapp_erasure) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(sha256(convert_to(jsonb_build_array(
    r.tenant_number, r.about_hash, r.actor, extract(epoch FROM r.began_at))::text, 'UTF8')), 'hex') $$;
"""
_WRITERS = """
CREATE FUNCTION agentapp_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_auditentry (at, actor, action, target, source, source_key, detail_sha256)
  VALUES (NEW.at, NEW.actor, NEW.action, NEW.target, 'change', NEW.id, agentapp_audit_detail(NEW));
  RETURN NULL;
END $$;
CREATE FUNCTION agentapp_audit_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_auditentry (at, tenant_number, actor, action, target, source, source_key, detail_sha256)
  SELECT NEW.at, w.tenant_id, NEW.actor, NEW.noun || ' ' || NEW.to_state, 'task ' || NEW.workflow_id, 'history',
         NEW.workflow_id || '/' || NEW.seq, agentapp_audit_detail(NEW)
    FROM agentapp_workflow w WHERE w.id = NEW.workflow_id;
  RETURN NULL;
END $$;
CREATE FUNCTION agentapp_audit_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_auditentry (at, actor, action, target, source, source_key, detail_sha256)
  VALUES (NEW.began_at, NEW.actor, 'erase', 'tenant ' || NEW.tenant_number, 'erasure', NEW.id,
          agentapp_audit_detail(NEW));
  RETURN NULL;
END $$;
DO $$
DECLARE
  writer text;
  path text := (SELECT string_agg(quote_ident(name), ', ') FROM unnest(current_schemas(false)) name);
BEGIN
  FOREACH writer IN ARRAY ARRAY['change', 'history', 'erasure'] LOOP
    EXECUTE format('ALTER FUNCTION agentapp_audit_%s() SECURITY DEFINER SET search_path = pg_catalog, %s, pg_temp',
                   writer, path);
    EXECUTE format('REVOKE ALL ON FUNCTION agentapp_audit_%s() FROM PUBLIC', writer);
  END LOOP;
END $$;
"""
# Of a task, what a person or a key has decided: not that it was submitted, nor what follows from a decision.
_TRIGGERS = """
CREATE TRIGGER agentapp_audit AFTER INSERT ON agentapp_gatechange
  FOR EACH ROW EXECUTE FUNCTION agentapp_audit_change();
CREATE TRIGGER agentapp_audit AFTER INSERT ON agentapp_erasure
  FOR EACH ROW EXECUTE FUNCTION agentapp_audit_erasure();
CREATE TRIGGER agentapp_audit AFTER INSERT ON agentapp_history
  FOR EACH ROW WHEN (
    (NEW.actor LIKE 'user:%' OR NEW.actor LIKE 'key:%')
    AND (NEW.noun = 'approval' AND NEW.from_state <> '' OR NEW.noun = 'job' AND NEW.from_state = 'dead_lettered'
         OR NEW.noun = 'workflow' AND NEW.to_state = 'cancelled'))
  EXECUTE FUNCTION agentapp_audit_history();
"""
_UNDO = """
DROP TRIGGER agentapp_audit ON agentapp_gatechange;
DROP TRIGGER agentapp_audit ON agentapp_erasure;
DROP TRIGGER agentapp_audit ON agentapp_history;
DROP FUNCTION agentapp_audit_change(), agentapp_audit_history(), agentapp_audit_erasure(),
  agentapp_audit_detail(agentapp_gatechange), agentapp_audit_detail(agentapp_history),
  agentapp_audit_detail(agentapp_erasure);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0038_model_call_exchanges"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                (
                    "tenant_number",
                    models.BigIntegerField(blank=True, help_text="of the task; empty: of the platform", null=True),
                ),
                ("actor", models.CharField(max_length=200)),
                ("action", models.CharField(max_length=60)),
                ("target", models.CharField(help_text="what it was done to", max_length=300)),
                ("source", models.CharField(help_text="the kind of record: change, history or erasure", max_length=20)),
                ("source_key", models.CharField(help_text="the record's primary key", max_length=60)),
                ("detail_sha256", models.CharField(help_text="of what else the record says", max_length=64)),
                ("is_erased", models.BooleanField(db_default=False, default=False)),
                (
                    "number",
                    models.BigIntegerField(help_text="1, 2, 3, ...; empty: not sealed yet", null=True, unique=True),
                ),
                (
                    "text_sha256",
                    models.CharField(blank=True, db_default="", help_text="of the columns before", max_length=64),
                ),
                (
                    "link",
                    models.CharField(
                        blank=True,
                        db_default="",
                        help_text="keyed hash over number, text and the link before",
                        max_length=64,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "indexes": [
                    models.Index(condition=Q(number=None), fields=["id"], name="audit_not_sealed"),
                    models.Index(condition=~Q(tenant_number=None), fields=["tenant_number"], name="audit_tenant"),
                    models.Index(fields=["source", "source_key"], name="audit_source"),
                ],
            },
        ),
        migrations.RunSQL(_DETAILS + _WRITERS + _TRIGGERS, _UNDO),
    ]
