"""The Python client of the API. It needs no Django and no settings: an address and a key.

    from agentapp.client import Client

    with Client("https://agents.example.org", "aa_...") as client:
        task = client.submit("support_reply", {"subject": "...", "body": "...", "customer_email": "..."})
        for event in client.stream(task["id"]):
            print(event.type, event.data)
        print(client.get(task["id"])["result"])

AsyncClient has the same methods to await, and `async for`.
"""

from agentapp.client.asynchronous import AsyncClient as AsyncClient
from agentapp.client.errors import ClientError as ClientError
from agentapp.client.errors import NotInTime as NotInTime
from agentapp.client.errors import Refused as Refused
from agentapp.client.errors import Unreachable as Unreachable
from agentapp.client.shapes import Approval as Approval
from agentapp.client.shapes import Artifact as Artifact
from agentapp.client.shapes import BulkCancellation as BulkCancellation
from agentapp.client.shapes import Document as Document
from agentapp.client.shapes import ForkedTask as ForkedTask
from agentapp.client.shapes import Job as Job
from agentapp.client.shapes import PastEvent as PastEvent
from agentapp.client.shapes import Schedule as Schedule
from agentapp.client.shapes import ScheduleRun as ScheduleRun
from agentapp.client.shapes import Task as Task
from agentapp.client.stream import Event as Event
from agentapp.client.stream import Texts as Texts
from agentapp.client.synchronous import Client as Client
from agentapp.client.webhooks import BadSignature as BadSignature
from agentapp.client.webhooks import verify as verify_webhook

__all__ = [
    "Approval",
    "Artifact",
    "AsyncClient",
    "BadSignature",
    "BulkCancellation",
    "Client",
    "ClientError",
    "Document",
    "Event",
    "ForkedTask",
    "Job",
    "Memory",
    "NotInTime",
    "Refused",
    "Schedule",
    "ScheduleRun",
    "Task",
    "Texts",
    "Unreachable",
    "verify_webhook",
]
