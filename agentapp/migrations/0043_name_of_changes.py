from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0042_questions_of_jobs")]

    operations = [
        migrations.AlterModelOptions(name="gatechange", options={"ordering": ("-id",), "verbose_name": "change"}),
    ]
