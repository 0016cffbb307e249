"""The audit chain has what clients are told of dead letters: a person does that too, and answers for the words.

The function is replaced whole, and a statement that replaces one says anew whose rights it has.
"""

from django.db import migrations

_WRITER = """
CREATE OR REPLACE FUNCTION agentapp_audit_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO agentapp_auditentry (at, tenant_number, actor, action, target, source, source_key, detail_sha256)
  SELECT NEW.at, w.tenant_id, NEW.actor, {action}, 'task ' || NEW.workflow_id, 'history',
         NEW.workflow_id || '/' || NEW.seq, agentapp_audit_detail(NEW)
    FROM agentapp_workflow w WHERE w.id = NEW.workflow_id;
  RETURN NULL;
END $$;
DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION agentapp_audit_history() SECURITY DEFINER SET search_path = pg_catalog, %s, pg_temp',
                 (SELECT string_agg(quote_ident(name), ', ') FROM unnest(current_schemas(false)) name));
END $$;
CREATE OR REPLACE TRIGGER agentapp_audit AFTER INSERT ON agentapp_history
  FOR EACH ROW WHEN (
    (NEW.actor LIKE 'user:%' OR NEW.actor LIKE 'key:%')
    AND (NEW.noun = 'approval' AND NEW.from_state <> '' OR NEW.noun = 'job' AND NEW.from_state = 'dead_lettered'
         OR NEW.noun = 'workflow' AND NEW.to_state = 'cancelled'{more}))
  EXECUTE FUNCTION agentapp_audit_history();
"""
_ACTION = "NEW.noun || ' ' || NEW.to_state"
_NOTICE = "NEW.data ? 'notice'"
_DO = _WRITER.replace("{action}", f"CASE WHEN {_NOTICE} THEN 'client notified' ELSE {_ACTION} END").replace(
    "{more}", f"\n         OR NEW.noun = 'workflow' AND {_NOTICE}"
)
_UNDO = _WRITER.replace("{action}", _ACTION).replace("{more}", "")


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0047_autovacuum_of_small_hot_tables")]

    operations = [migrations.RunSQL(_DO, _UNDO)]
