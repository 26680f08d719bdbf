import { RequestRecordSchema } from "@sessiond/contract/store";
import { uidText } from "../../../store/keys.ts";
import { finding } from "./finding.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, exactly, pagesOf, under } from "./walk.ts";

/** Milliseconds, in front of the record. */
const timeBytes = 8;
const keyBytes = 16;

/** The answers kept for retries can be read. */
export async function* checkRequests(run: Run): AsyncGenerator<Findings> {
  for await (const page of pagesOf(run, "requests")) {
    if ("findings" in page) {
      yield page;
      continue;
    }
    for (const record of page) {
      const { key, content } = record;
      const isLong = content instanceof Uint8Array && content.length >= timeBytes;
      const rest = isLong ? content.subarray(timeBytes) : new Uint8Array();
      const request = isLong && decoded(RequestRecordSchema, { ...record, content: rest });
      if (!request || key.length !== keyBytes || request.payloadHash.length !== 16) {
        yield damaged(`the answer kept for a retry (${Buffer.from(key).toString("hex")})`, {});
      }
    }
    yield nothing;
  }
}

/** Logs that wait for their removal are those of deleted sessions. */
export async function* checkGarbage(run: Run): AsyncGenerator<Findings> {
  for await (const page of pagesOf(run, "garbage")) {
    if ("findings" in page) {
      yield page;
      continue;
    }
    for (const { key } of page) {
      const [heads, garbage] = await run.store.records(
        exactly("heads", key),
        exactly("garbage", key),
      );
      if (under(key, heads) === undefined || under(key, garbage) === undefined) continue;
      const found = "housekeeping is about to remove the log of a session that is there";
      yield { findings: [finding("LOG_CONDEMNED", { uid: uidText(key) }, found)] };
    }
  }
}
