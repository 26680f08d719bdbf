import { type Event, type GetContextWindowResponse, Treatment } from "@sessiond/contract";

/** What a model would see of a session. */
export interface Shown {
  /** Revisions of the events that are there whole. */
  readonly revisions: ReadonlySet<number>;
  /** All its text, as it is compared with answers. */
  readonly text: string;
}

export function shownEvents(events: readonly Event[]): Shown {
  return {
    revisions: new Set(events.map(({ revision }) => revision)),
    text: comparable(events.map(textOf).join("\n")),
  };
}

export function shownWindow({ items }: GetContextWindowResponse): Shown {
  const events = items.flatMap(({ event }) => (event === undefined ? [] : [event]));
  const whole = items.flatMap(({ event, treatment }) => {
    const isWhole = treatment === Treatment.KEPT || treatment === Treatment.RETRIEVED;
    return isWhole && event !== undefined ? [event.revision] : [];
  });
  return { revisions: new Set(whole), text: shownEvents(events).text };
}

/** A text without what does not matter when it is looked for: case, and how it is spaced. */
export function comparable(text: string): string {
  return text.toLowerCase().replace(/\s+/g, " ").trim();
}

function textOf({ payload }: Event): string {
  switch (payload.case) {
    case "message": {
      const { text, parts } = payload.value;
      const more = parts.map(({ content }) => (content.case === "text" ? content.value : ""));
      return [text, ...more].join("\n");
    }
    case "toolCall":
      return `${payload.value.name} ${payload.value.arguments}`;
    case "toolResult":
      return payload.value.content;
    default:
      return "";
  }
}
