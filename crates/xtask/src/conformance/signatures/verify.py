"""Verifies recorded webhooks: HMAC with the official Python library, Ed25519 with `cryptography`.

Reads one JSON object a line, {key, headers, body (hex)}, and answers "ok" or what is wrong, one line each. The key is
a `whsec_…` secret, `whpk_…` (an Ed25519 public key) or `whsk_…` (a pair's seed: the public half is worked out).
"""

import base64
import json
import sys
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

TOLERANCE_S = 300


def verify_ed25519(key: str, headers: dict[str, str], body: bytes) -> None:
    if abs(time.time() - int(headers["webhook-timestamp"])) >= TOLERANCE_S:
        raise ValueError("not of now")
    half = base64.b64decode(key[len("whpk_") :])[:32]
    private = key.startswith("whsk_")
    public = (
        Ed25519PrivateKey.from_private_bytes(half).public_key() if private else Ed25519PublicKey.from_public_bytes(half)
    )
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signatures = [one for one in headers["webhook-signature"].split(" ") if one.startswith("v1a,")]
    if not signatures:
        raise ValueError("no v1a signature")
    for signature in signatures:
        try:
            public.verify(base64.b64decode(signature.removeprefix("v1a,")), signed)
            return
        except InvalidSignature:
            continue
    raise ValueError("no matching signature")


def main() -> None:
    for line in sys.stdin:
        case = json.loads(line)
        body = bytes.fromhex(case["body"])
        try:
            if not case["key"].startswith("whsec_"):
                verify_ed25519(case["key"], case["headers"], body)
            else:
                Webhook(case["key"]).verify(body, case["headers"])
            print("ok")
        except (WebhookVerificationError, ValueError) as error:
            print(str(error).replace("\n", " ") or type(error).__name__)


if __name__ == "__main__":
    main()
