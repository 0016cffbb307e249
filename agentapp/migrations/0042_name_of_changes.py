from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0041_autovacuum")]

    operations = [
        migrations.AlterModelOptions(name="gatechange", options={"ordering": ("-id",), "verbose_name": "change"}),
    ]
