"""The addresses of the console."""

from django.urls import path

from agentapp.console import actions, new, tasks

urlpatterns = [
    path("", tasks.index, name="console"),
    path("stream-token/", actions.stream_token, name="console_stream_token"),
    path("rows/", tasks.rows, name="console_rows"),
    path("new/<str:kind>/", new.form, name="console_new"),
    path("tasks/<uuid:task_id>/", tasks.page, name="console_task"),
    path("tasks/<uuid:task_id>/parts/", tasks.parts, name="console_parts"),
    path("tasks/<uuid:task_id>/cancel/", actions.cancel, name="console_cancel"),
    path("tasks/<uuid:task_id>/messages/", actions.say, name="console_say"),
    path("tasks/<uuid:task_id>/fork/", actions.fork, name="console_fork"),
    path("tasks/<uuid:task_id>/approvals/<uuid:approval_id>/", actions.look_after, name="console_look_after"),
    path("tasks/<uuid:task_id>/dead-letters/<uuid:job_id>/", actions.replay, name="console_replay"),
]
