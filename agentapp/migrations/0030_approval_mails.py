"""Members are told by mail of approvals that wait, unless they want no mails."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0029_totals")]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="gets_mails",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Is told by mail of approvals that wait, where a policy says so.",
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="mailed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="workflow",
            name="origin",
            field=models.CharField(
                choices=[
                    ("client", "Client"),
                    ("webhook", "Webhook"),
                    ("schedule", "Schedule"),
                    ("drill", "Drill"),
                    ("child", "Child"),
                    ("document", "Document"),
                    ("tool_server", "Tool Server"),
                    ("notice", "Notice"),
                ],
                db_default="client",
                default="client",
                max_length=20,
            ),
        ),
    ]
