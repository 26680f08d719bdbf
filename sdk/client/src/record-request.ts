import { appendEvents } from "./append.ts";
import type { CallOptions } from "./call-options.ts";
import type { ClientContext } from "./context.ts";
import { toDuration } from "./duration.ts";

/** How a request is recorded. `signal` and `timeoutMs` are for the recording, not for the work. */
export interface RequestOptions extends CallOptions {
  /** Name of the agent the request belongs to. */
  readonly author?: string | undefined;
  /** Your word for the request, for example "llm_call". */
  readonly kind?: string | undefined;
}

/** UTF-16 units kept of an error; the contract takes 200 bytes and 16 KiB, 3 to 4 bytes a unit. */
const codeLength = 50;
const messageLength = 4_000;

/** Runs the work and records how long it took and how it failed. `Session.request` documents it. */
export async function recordRequest<T>(
  context: ClientContext,
  { sessionId, work }: { sessionId: string; work: () => T | Promise<T> },
  options: RequestOptions,
): Promise<T> {
  const startMs = context.elapsedMs();
  const record = (error?: unknown) => {
    const { author, kind, ...call } = options;
    const event = {
      ...(author === undefined ? {} : { author }),
      ...(kind === undefined ? {} : { kind }),
      payload: {
        case: "requestRecorded" as const,
        value: {
          processingTime: toDuration("processing time", context.elapsedMs() - startMs),
          ...(error === undefined ? {} : { error: toError(error) }),
        },
      },
    };
    return appendEvents(context, { sessionId, events: [event] }, call);
  };
  let result: T;
  try {
    result = await work();
  } catch (error) {
    // The work's own error is what the caller must see, whether it could be recorded or not.
    await record(error ?? new Error("unknown")).catch(() => {});
    throw error;
  }
  await record();
  return result;
}

function toError(thrown: unknown): { code: string; message: string } {
  const { name, message } = thrown instanceof Error ? thrown : new Error(String(thrown));
  return { code: name.slice(0, codeLength), message: message.slice(0, messageLength) };
}
