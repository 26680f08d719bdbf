import { createHash } from "node:crypto";
import { type Format, withRaw } from "./format.ts";
import { openaiChat } from "./openai-chat.ts";

/** What `sessiond export --format json` writes: `{"conversation_id", "exported_at", "messages": […]}`. */
export const json: Format = {
  lists: ["messages"],
  toEvents: (items) => {
    // Ids of calls are made unique over all of them, so they are converted together.
    const events = openaiChat.toEvents(items);
    return events.map((event) => {
      const raw = "raw" in event ? event.raw?.json : undefined;
      if (typeof raw !== "string") return event;
      const [kept] = withRaw("json", { value: null, json: raw, line: 1 }, [event]);
      return kept ?? event;
    });
  },
  toFields: ({ system }) =>
    typeof system === "string" && system !== "" ? { systemInstructions: system } : {},
  // The conversation it came from may still be there.
  newName: (name, items) => {
    const hash = createHash("sha256");
    for (const item of items) hash.update(item.json);
    return `${name}-${hash.digest("hex").slice(0, 8)}`;
  },
};
