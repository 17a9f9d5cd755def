"""A webhook receiver that verifies with the official Python library.

Prints the port it listens on, then one JSON object a webhook. Ends with the process that started it.
"""

import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"])
OUTPUT = threading.Lock()


def say(text: str) -> None:
    with OUTPUT:
        print(text, flush=True)


class Receiver(BaseHTTPRequestHandler):
    # Connections stay open between webhooks, as the sender likes it.
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = None
        try:
            WEBHOOK.verify(body, headers)
        except WebhookVerificationError as error:
            fault = str(error) or type(error).__name__
        except ValueError as error:
            fault = f"verified, but not JSON: {error}"
        say(
            json.dumps(
                {
                    "id": headers.get("webhook-id", ""),
                    "sha256": hashlib.sha256(body).hexdigest(),
                    "bytes": len(body),
                    "fault": fault,
                }
            )
        )
        self.send_response(401 if fault else 204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Silence: standard output is for the arrivals."""


class Server(ThreadingHTTPServer):
    # The default of 5 would refuse a burst of connections.
    request_queue_size = 512
    daemon_threads = True


def end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def main() -> None:
    server = Server(("127.0.0.1", 0), Receiver)
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    say(str(server.server_address[1]))
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
