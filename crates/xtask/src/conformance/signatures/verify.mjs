// Verifies recorded webhooks: HMAC with the official JavaScript library, Ed25519 with tweetnacl.
//
// Reads one JSON object a line, {key, headers, body (hex)}, and answers "ok" or what is wrong, one line each. The key
// is a `whsec_…` secret, `whpk_…` (an Ed25519 public key) or `whsk_…` (a pair's seed: the public half is worked out).
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.PACKAGES}/package.json`);
const { Webhook } = require("standardwebhooks");
const nacl = require("tweetnacl");

const TOLERANCE_S = 300;

function verifyEd25519(key, headers, body) {
  const sent = Number(headers["webhook-timestamp"]);
  if (!(Math.abs(Date.now() / 1000 - sent) < TOLERANCE_S)) throw new Error("not of now");
  const signed = Buffer.concat([
    Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`),
    body,
  ]);
  const half = Buffer.from(key.slice("whpk_".length), "base64");
  const publicKey = key.startsWith("whsk_") ? nacl.sign.keyPair.fromSeed(half.subarray(0, 32)).publicKey : half;
  const signatures = headers["webhook-signature"].split(" ").filter((one) => one.startsWith("v1a,"));
  if (signatures.length === 0) throw new Error("no v1a signature");
  const good = signatures
    .map((one) => Buffer.from(one.slice("v1a,".length), "base64"))
    .some((one) => one.length === nacl.sign.signatureLength && nacl.sign.detached.verify(signed, one, publicKey));
  if (!good) throw new Error("no matching signature");
}

for await (const line of createInterface({ input: process.stdin })) {
  const { key, headers, body } = JSON.parse(line);
  const bytes = Buffer.from(body, "hex");
  try {
    if (!key.startsWith("whsec_")) verifyEd25519(key, headers, bytes);
    else new Webhook(key).verify(bytes.toString("utf8"), headers);
    console.log("ok");
  } catch (error) {
    console.log(String(error.message || error).replaceAll("\n", " "));
  }
}
