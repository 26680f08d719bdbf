import { toJson } from "@bufbuild/protobuf";
import type { Session, SessionEvent } from "@sessiond/client";
import { EventSchema } from "@sessiond/contract";
import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { type FieldDifference, fieldDifferences } from "../diff/fields.ts";
import { eventsFrom, sharedEvents } from "../diff/shared-events.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataOutput } from "../host.ts";
import { type JsonFormat, jsonWriter, outputFormat, outputOption } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { paintFor } from "../text/colours.ts";
import { eventLines } from "../text/event-line.ts";
import { safe } from "../text/safe.ts";

interface Flags extends ServerFlags {
  readonly output?: string;
}

type Side = "a" | "b";

const help = `
Shows the fields that differ, how many events both begin with, and the events of each behind those: "<"
is the first session, ">" the second. Names, times and counters of the sessions are not compared. Ends
with ${exitCodes.done} when nothing differs, with ${exitCodes.differ} when something does.

Examples:
  sessiond diff user-42 user-42-train
  sessiond diff run-7 run-8 -o jsonl | jq -c 'select(.side == "b").event'`;

export function addDiff(program: Command, line: CommandLine): void {
  const command = program
    .command("diff")
    .description("compare two sessions, such as a fork and its parent")
    .argument("<session>", "id of the first session")
    .argument("<other>", "id of the second session")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((a: string, b: string, flags: Flags) =>
    withServer(line, flags, (server) => diff(server, { a, b, flags })),
  );
}

async function diff(
  { host, sessiond, interruption }: Server,
  ids: { a: string; b: string; flags: Flags },
) {
  const { signal } = interruption;
  const [a, b] = await Promise.all([
    sessiond.sessions.get(ids.a, { signal }),
    sessiond.sessions.get(ids.b, { signal }),
  ]);
  const fields = fieldDifferences(a, b);
  const shared = await sharedEvents(a, b, signal);
  const format = outputFormat(ids.flags.output, "text", host.stdout);
  const printer = format === "text" ? textPrinter(host.stdout) : jsonPrinter(host.stdout, format);
  printer.begin({ a, b });
  for (const field of fields) await printer.field(field);
  await printer.shared(shared);
  for (const [side, session] of Object.entries({ a, b }) as [Side, Session][]) {
    for await (const event of eventsFrom(session, { first: shared + 1, signal })) {
      await printer.event(side, event);
    }
  }
  printer.end();
  const isSame = fields.length === 0 && shared === Math.max(a.headRevision, b.headRevision);
  return interruption.exitCode() ?? (isSame ? exitCodes.done : exitCodes.differ);
}

interface Printer {
  begin(sessions: Readonly<Record<Side, Session>>): void;
  field(difference: FieldDifference): Promise<void>;
  shared(events: number): Promise<void>;
  event(side: Side, event: SessionEvent): Promise<void>;
  end(): void;
}

function textPrinter(output: DataOutput): Printer {
  const paint = paintFor(output);
  const marks = { a: paint("red", "<"), b: paint("green", ">") };
  const width = () => output.columns() - 2;
  const toLine = eventLines({
    output: { ...output, columns: width },
    withSession: false,
    full: false,
  });
  const write = (text: string) => {
    output.write(text);
    return output.drained();
  };
  return {
    begin: (sessions) => {
      for (const [side, { sessionId, parent, headRevision }] of Object.entries(sessions)) {
        const isFork = parent?.kind === "fork";
        const from = isFork ? `, from ${safe(parent.sessionId)} at ${parent.revision}` : "";
        const facts = `${headRevision} events${from}`;
        output.write(`${marks[side as Side]} ${paint("bold", safe(sessionId))}: ${facts}\n`);
      }
    },
    field: async ({ field, ...values }) => {
      for (const side of ["a", "b"] as const) {
        const value = values[side];
        if (value === undefined) continue;
        await write(`${marks[side]} ${paint("cyan", field)} ${safe(JSON.stringify(value))}\n`);
      }
    },
    shared: (events) => write(`  both begin with ${events} events\n`),
    event: (side, event) => write(`${marks[side]} ${toLine("", event)}`),
    end() {},
  };
}

function jsonPrinter(output: DataOutput, format: JsonFormat): Printer {
  const writer = jsonWriter(output, format);
  return {
    begin() {},
    field: ({ field, a, b }) =>
      writer.write({ field, ...(a !== undefined && { a }), ...(b !== undefined && { b }) }),
    shared: (sharedEvents) => writer.write({ sharedEvents }),
    event: (side, { message }) => writer.write({ side, event: toJson(EventSchema, message) }),
    end: () => writer.end(),
  };
}
