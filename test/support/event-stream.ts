import { type IncomingMessage, request as send } from "node:http";
import type { JsonValue } from "@bufbuild/protobuf";

/** What stands between two empty lines of text/event-stream. */
export interface Frame {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
  readonly retry?: string;
  /** Text of a comment. */
  readonly comment?: string;
}

/** A stream as a client sees it that reads by lines. Disposing hangs up. */
export interface EventStream extends Disposable {
  readonly status: number;
  readonly frames: AsyncIterableIterator<Frame>;
  /** The body as JSON, for an answer that is no stream. */
  json(): Promise<JsonValue>;
}

/** Opens a stream of a server at `host:port` or `unix:/path`. */
export async function openStream(
  address: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<EventStream> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const [host = "", port] = address.split(":");
    const target = address.startsWith("unix:")
      ? { socketPath: address.slice("unix:".length), host: "localhost" }
      : { host, port };
    send({ ...target, path, headers, agent: false }, resolve)
      .on("error", reject)
      .end();
  });
  response.setEncoding("utf8");
  return {
    status: response.statusCode ?? 0,
    frames: framesOf(response),
    async json() {
      return JSON.parse((await Array.fromAsync(response)).join(""));
    },
    [Symbol.dispose]: () => response.destroy(),
  };
}

async function* framesOf(body: IncomingMessage): AsyncGenerator<Frame> {
  let text = "";
  for await (const chunk of body.iterator({ destroyOnReturn: false })) {
    text += chunk;
    const whole = text.split("\n\n");
    text = whole.pop() ?? "";
    for (const frame of whole) yield Object.fromEntries(frame.split("\n").map(fieldOf));
  }
  if (text !== "") throw new Error(`the stream ended within a frame: ${text}`);
}

function fieldOf(line: string): [string, string] {
  const [name = "", value = ""] = line.split(/: (.*)/s);
  return [name === "" ? "comment" : name, value];
}
