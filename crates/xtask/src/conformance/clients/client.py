"""Uses the API through a client that openapi-python-client made from its document.

An application, an endpoint, a message, and the attempt read back. Prints what it saw as one JSON object.
"""

import json
import os
import time

from postrider_client import AuthenticatedClient
from postrider_client.api.applications import create_application
from postrider_client.api.deliveries import list_attempts
from postrider_client.api.endpoints import create_endpoint
from postrider_client.api.messages import publish_message
from postrider_client.models import ListAttempt, NewApplication, NewEndpoint, NewMessage, Problem

PATIENCE_S = 20


def good(what: str, answer: object) -> object:
    if answer is None or isinstance(answer, Problem):
        raise SystemExit(f"{what}: {answer}")
    return answer


def main() -> None:
    client = AuthenticatedClient(base_url=os.environ["BASE_URL"], token=os.environ["API_KEY"])
    application = good(
        "createApplication",
        create_application.sync(client=client, body=NewApplication.from_dict({"name": "By Python"})),
    )
    endpoint = good(
        "createEndpoint",
        create_endpoint.sync(
            application.id,
            client=client,
            body=NewEndpoint.from_dict({"url": os.environ["RECEIVER_URL"], "event_types": ["client.made"]}),
        ),
    )
    message = good(
        "publishMessage",
        publish_message.sync(
            application.id,
            client=client,
            body=NewMessage.from_dict({"event_type": "client.made", "payload": {"by": "Python"}}),
        ),
    )
    deadline = time.monotonic() + PATIENCE_S
    while True:
        # Until the fan-out is done there is no delivery to have attempts.
        answer = list_attempts.sync(application.id, message.id, endpoint.id, client=client)
        attempts = answer.data if isinstance(answer, ListAttempt) else []
        if attempts:
            break
        if time.monotonic() > deadline:
            raise SystemExit(f"no attempt is listed: {answer}")
        time.sleep(0.05)
    print(
        json.dumps(
            {
                "application": application.id,
                "endpoint": endpoint.id,
                "message": message.id,
                "attempts": len(attempts),
                "status": attempts[0].outcome.http_status,
            }
        )
    )


if __name__ == "__main__":
    main()
