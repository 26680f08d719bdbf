import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as the server saw it. */
export interface Seen {
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: {
    readonly model: string;
    readonly max_tokens: number;
    readonly temperature: number;
    readonly messages: readonly { readonly role: string; readonly content: string }[];
  };
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export interface ChatServer extends AsyncDisposable {
  readonly url: string;
  readonly seen: Seen[];
  /** Answers to the next requests; the last one stays. */
  answers: Answer[];
}

export function says(content: unknown, finishReason = "stop"): Answer {
  return json({
    choices: [{ message: { role: "assistant", content }, finish_reason: finishReason }],
  });
}

export function json(value: unknown): Answer {
  return (response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify(value));
  };
}

export function status(code: number, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(code, headers).end('{"error":"the key sk-secret is wrong"}');
  };
}

/** A real HTTP server that plays an OpenAI-compatible endpoint. */
export async function startChatServer(...answers: Answer[]): Promise<ChatServer> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    seen.push({
      url: `${request.method} ${request.url}`,
      authorization: request.headers.authorization,
      body: JSON.parse(Buffer.concat(chunks).toString() || "null"),
    });
    const [next] = started.answers.length > 1 ? started.answers.splice(0, 1) : started.answers;
    next?.(response, request);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const started: ChatServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    seen,
    answers,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
  return started;
}
