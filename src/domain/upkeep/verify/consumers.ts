import { ConsumerRecordSchema } from "@sessiond/contract/store";
import { parseConsumerKey } from "../../../store/keys.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, pagesOf, parsed } from "./walk.ts";

/** The consumers can be read. Whose session was deleted stays, so that its reader is told. */
export async function* checkConsumers(run: Run): AsyncGenerator<Findings> {
  for await (const page of pagesOf(run, "consumers")) {
    if ("findings" in page) {
      yield page;
      continue;
    }
    for (const record of page) {
      const name = parsed(parseConsumerKey, record.key);
      const consumer = decoded(ConsumerRecordSchema, record);
      if (name !== undefined && consumer?.uid.length === 16) continue;
      const what = name === undefined ? "the key of a consumer" : `consumer "${name.name}"`;
      yield damaged(what, name === undefined ? {} : { namespace: name.namespace });
    }
    yield nothing;
  }
}
