import { fromJsonString, toJson } from "@bufbuild/protobuf";
import type { EventInput, RoleWord } from "@sessiond/client";
import { AppendEventsResponseSchema, EventSchema } from "@sessiond/contract";
import { type Command, Option } from "commander";
import { limits } from "../../limits.ts";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { count } from "../options.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { safe } from "../text/safe.ts";

interface Flags extends ServerFlags {
  readonly role: RoleWord;
  readonly author?: string;
  readonly kind?: string;
  readonly json?: true;
  readonly create?: true;
  readonly expectedRevision?: number;
  readonly requestId?: string;
  readonly output?: string;
}

const help = `
Without TEXT, or with "-", the text comes from stdin. With --json stdin holds events as JSON lines in
the form of the contract; they are appended as one batch.

Examples:
  sessiond append user-42 "I want to visit Japan next month" --create
  sessiond append user-42 --role assistant < answer.txt
  sessiond append user-42 "never book without asking" --role system --kind constraint
  echo '{"toolResult":{"callId":"c1","content":"3 flights"}}' | sessiond append user-42 --json`;

export function addAppend(program: Command, line: CommandLine): void {
  const command = program
    .command("append")
    .description("append a message, or events as JSON, to a session")
    .argument("<session>", "id of the session")
    .argument("[text]", "text of the message")
    .addOption(
      new Option("--role <role>", "whose voice it is")
        .choices(["system", "user", "assistant", "tool"])
        .default("user"),
    )
    .option("--author <name>", "name of the agent or user it comes from")
    .option("--kind <kind>", 'your word for it, for example "constraint"')
    .option("--json", "read events as JSON lines from stdin")
    .option("--create", "create the session if it does not exist")
    .option("--expected-revision <revision>", "only if the session is at this revision", count)
    .option("--request-id <id>", "makes the command safe to repeat for 24 hours")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action(async (id: string, text: string | undefined, flags: Flags) => {
    const events = await eventsOf(line.host, text, flags);
    await withServer(line, flags, (server) => append(server, { id, events, flags }));
  });
}

async function append(
  { host, sessiond, interruption }: Server,
  { id, events, flags }: { id: string; events: readonly EventInput[]; flags: Flags },
) {
  const { signal } = interruption;
  const { requestId, expectedRevision } = flags;
  const session = flags.create
    ? await sessiond.sessions.getOrCreate(id, {}, { signal })
    : await sessiond.sessions.get(id, { signal });
  const result = await session.append(events, { signal, requestId, expectedRevision });
  const format = outputFormat(flags.output, "text", host.stdout);
  if (format !== "text") {
    writeJson(host.stdout, format, toJson(AppendEventsResponseSchema, result.message));
    return undefined;
  }
  const tokens = result.message.events.reduce((sum, event) => sum + (event.tokens?.count ?? 0), 0);
  const revisions = [...new Set([result.revisions.at(0), result.revisions.at(-1)])].join("-");
  const durable = result.isDurable ? "durable" : "NOT durable";
  const created = session.created ? ", session created" : "";
  host.stdout.write(`${safe(id)}: revision ${revisions}, ${tokens} tokens, ${durable}${created}\n`);
  return undefined;
}

async function eventsOf(host: Host, text: string | undefined, flags: Flags): Promise<EventInput[]> {
  const { role, author, kind, json } = flags;
  if (json) {
    if (text !== undefined) throw wrong("--json reads stdin, so it takes no text");
    const lines = (await readAll(host)).split("\n");
    const events = lines.flatMap((line, index) =>
      line.trim() === "" ? [] : [parseEvent(line, index + 1)],
    );
    if (events.length === 0) throw wrong("stdin holds no event");
    return events;
  }
  // Only "-" makes a command wait for what somebody types.
  const isMissing = text === undefined && host.stdin.isTerminal;
  const content = isMissing ? "" : text === undefined || text === "-" ? await readAll(host) : text;
  if (content === "") throw wrong("there is no text; give it as argument or on stdin");
  return [{ role, text: content, ...(author && { author }), ...(kind && { kind }) }];
}

function parseEvent(line: string, number: number): EventInput {
  try {
    const event = fromJsonString(EventSchema, line);
    const { $typeName: _, payload, ...fields } = event;
    if (payload.case === undefined) throw new Error("it has no payload, such as message");
    return { ...fields, payload };
  } catch (error) {
    throw wrong(`stdin:${number} is no event: ${(error as Error).message}`, error);
  }
}

async function readAll({ stdin }: Host): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stdin.bytes()) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > limits.requestBytes) throw wrong("stdin holds more than one append takes");
  }
  try {
    // What cannot be decoded would be stored as other text than was given.
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    throw wrong("stdin is not UTF-8; convert it first, for example with iconv", error);
  }
}

function wrong(message: string, cause?: unknown): CommandError {
  return new CommandError(exitCodes.cannotStart, message, cause);
}
