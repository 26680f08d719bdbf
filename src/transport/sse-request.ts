import { create } from "@bufbuild/protobuf";
import { type WatchEventsRequest, WatchEventsRequestSchema, WatchStart } from "@sessiond/contract";
import { InvalidFieldError } from "../errors.ts";

/** Where streams are, for messages. */
export const streamPaths = "/v1/sessions/{id}/stream and /v1/stream";

const ofNamespace = "/v1/stream";
const ofSession = /^\/v1\/sessions\/([^/]*)\/stream$/;

export function isStreamPath(path: string): boolean {
  return path === ofNamespace || ofSession.test(path);
}

/**
 * The watch that a URL and the `Last-Event-ID` of a browser ask for. `path` is that of a stream.
 *
 * Errors: InvalidFieldError for what cannot be read; the watch itself checks the rest.
 */
export function watchRequestOf(args: {
  readonly path: string;
  readonly query: string;
  /** Absent or empty: none. */
  readonly lastEventId: string | undefined;
}): WatchEventsRequest {
  const {
    namespace = "",
    after = "",
    start = "beginning",
    until_ended: untilEnded = "false",
  } = parametersOf(args.query);
  return create(WatchEventsRequestSchema, {
    sessionId: sessionIdOf(args.path),
    namespace,
    // A browser that reconnects sends the URL of the beginning, and beside it how far it came.
    cursor: args.lastEventId || after,
    start: chosen("start", start, { now: WatchStart.NOW, beginning: WatchStart.BEGINNING }),
    untilEnded: chosen("until_ended", untilEnded, { true: true, false: false }),
  });
}

function sessionIdOf(path: string): string {
  const encoded = ofSession.exec(path)?.[1];
  if (encoded === undefined) return "";
  const sessionId = decode("session_id", encoded);
  if (sessionId === "") {
    // An empty id would ask for all sessions of the namespace.
    throw invalid("session_id", `is empty; name it in the path, or read ${ofNamespace}`);
  }
  if (sessionId === "." || sessionId === "..") {
    throw invalid("session_id", `"${sessionId}" gets lost in paths; use EventService.WatchEvents`);
  }
  return sessionId;
}

const names = ["namespace", "after", "start", "until_ended"] as const;
type Parameters = { [name in (typeof names)[number]]?: string };

function parametersOf(query: string): Parameters {
  const parameters: Parameters = {};
  for (const pair of query.split("&").filter((part) => part !== "")) {
    const [encodedName = "", ...rest] = pair.split("=");
    const given = decode("query", encodedName);
    const name = names.find((known) => known === given);
    if (name === undefined) {
      // A misspelt parameter is an error, not silently nothing.
      throw invalid(given.slice(0, 100), `is unknown here; known are ${names.join(", ")}`);
    }
    if (parameters[name] !== undefined) throw invalid(name, "is given twice; give it once");
    parameters[name] = decode(name, rest.join("=").replaceAll("+", " "));
  }
  return parameters;
}

function chosen<T>(name: string, given: string, values: Readonly<Record<string, T>>): T {
  const value = Object.hasOwn(values, given) ? values[given] : undefined;
  if (value !== undefined) return value;
  throw invalid(name, `must be ${Object.keys(values).join(" or ")}`);
}

function decode(field: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(field, "is not percent-encoded UTF-8; encode it as encodeURIComponent does");
  }
}

function invalid(field: string, description: string): InvalidFieldError {
  return new InvalidFieldError({ field, description });
}
