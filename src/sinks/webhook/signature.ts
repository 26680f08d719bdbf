import { createHash, createHmac } from "node:crypto";

/** Headers that say what a request is and whose, by the names of https://www.standardwebhooks.com. */
export interface WebhookHeaders {
  /**
   * The same for every try of one body, while the server runs. After a restart a batch may have grown, and
   * what was sent before comes under another id: receivers drop repeats by the session's uid and the revision.
   */
  readonly "webhook-id": string;
  /** When it was sent, in seconds. */
  readonly "webhook-timestamp": string;
  /** `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`. Absent: there is no key. */
  readonly "webhook-signature"?: string;
}

/** Signs a body. A key that begins with `whsec_` is base64 behind that, any other is its own bytes. */
export function webhookHeaders(args: {
  readonly body: string;
  readonly key: string | undefined;
  readonly nowMs: number;
}): WebhookHeaders {
  const { body, key, nowMs } = args;
  const id = `msg_${createHash("sha256").update(body).digest("base64url").slice(0, 32)}`;
  const timestamp = String(Math.floor(nowMs / 1_000));
  const unsigned = { "webhook-id": id, "webhook-timestamp": timestamp };
  if (key === undefined) return unsigned;
  return { ...unsigned, "webhook-signature": signatureOf({ id, timestamp, body, key }) };
}

/** The value of `webhook-signature`. */
export function signatureOf(args: {
  readonly id: string;
  readonly timestamp: string;
  readonly body: string;
  readonly key: string;
}): string {
  const { id, timestamp, body, key } = args;
  const signature = createHmac("sha256", keyBytes(key)).update(`${id}.${timestamp}.${body}`);
  return `v1,${signature.digest("base64")}`;
}

const prefix = "whsec_";

function keyBytes(key: string): Buffer {
  return key.startsWith(prefix)
    ? Buffer.from(key.slice(prefix.length), "base64")
    : Buffer.from(key);
}
