import { toJson } from "@bufbuild/protobuf";
import type { SessionEvent } from "@sessiond/client";
import { EventSchema } from "@sessiond/contract";
import type { Command } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataOutput } from "../host.ts";
import { ifAtOnce, untilAborted } from "../interruption.ts";
import { collect } from "../options.ts";
import { jsonWriter, outputFormat, outputOption } from "../output-format.ts";
import { addServerOptions, type Server, withServer } from "../server.ts";
import { checkConsumer, consumeTo, type Printer } from "../tail/consume.ts";
import { resumeCommand, type TailFlags } from "../tail/resume.ts";
import { parseSince, type Since } from "../tail/since.ts";
import { cursorAtEnd, follow, readToEnd } from "../tail/source.ts";
import { eventLines } from "../text/event-line.ts";

const help = `
Examples:
  sessiond tail                              every event of the namespace, oldest first
  sessiond tail -f --session user-42         follow one session; Ctrl+C prints how to resume
  sessiond tail -f --since now               only what comes from now on
  sessiond tail -f --since 10m --kind fraud_alert
  sessiond tail --session user-42 | jq -r .event.message.text
  sessiond tail -f --cursor CURSOR           go on behind the line that had this cursor
  sessiond tail -f --filter 'event.type == "tool_call" && event.tool != "search"'
  sessiond tail -f --consumer audit          go on where the name "audit" was read to, and keep that`;

export function addTail(program: Command, line: CommandLine): void {
  const command = program
    .command("tail")
    .description("print events, and with -f follow them live")
    .option("-f, --follow", "wait for further events, over restarts of the server")
    .option("-s, --session <id>", "only this session (default: all of the namespace)")
    .option("--filter <expression>", "only events for which this is true, in CEL over event")
    .option("--consumer <name>", "read as this consumer, whose place the server keeps; needs -f")
    .option("--take-over", "with --consumer: take the name from who reads under it")
    .option("--kind <kind>", "only events of this kind; may be repeated", collect)
    .option("--author <name>", "only events of this author; may be repeated", collect)
    .option("--since <when>", "begin at 10m, 2h (ago), now, an ISO time, or behind a cursor")
    .option("--cursor <cursor>", "begin behind this place")
    .option("--until-ended", "follow until the session has ended; needs --session")
    .option("--full", "text: show whole texts over several lines")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((flags: TailFlags) => {
    if (flags.untilEnded && flags.session === undefined) {
      throw new CommandError(exitCodes.cannotStart, "--until-ended needs --session");
    }
    checkConsumer(flags);
    return withServer(line, flags, (server) => tail(server, flags));
  });
}

async function tail(server: Server, flags: TailFlags): Promise<number | undefined> {
  const { host, sessiond, interruption } = server;
  const since = flags.since === undefined ? undefined : parseSince(flags.since, new Date());
  const from = since !== undefined && "time" in since ? since.time : undefined;
  const { consumer } = flags;
  if (consumer !== undefined) {
    const reader = { consumer, flags, since, isWanted: filterOf(flags, from) };
    return consumeTo(server, printerOf(host.stdout, flags), reader);
  }
  const cursor = flags.cursor ?? (await cursorOf(server, flags, since));
  const { filter } = flags;
  const request = { sessiond, sessionId: flags.session, cursor, filter };
  const untilEnded = flags.untilEnded === true;
  const items =
    flags.follow || untilEnded ? follow({ ...request, untilEnded }) : readToEnd(request);

  const isWanted = filterOf(flags, from);
  const printer = printerOf(host.stdout, flags);
  let place = cursor ?? "";
  try {
    for (;;) {
      const next = items.next();
      // A batch has one cursor, behind its last event, so one that was begun is printed whole: its
      // events are in memory and come at once.
      const result = (await untilAborted(next, interruption.signal)) ?? (await ifAtOnce(next));
      if (result === undefined || result.done) break;
      if (isWanted(result.value.event)) await printer.print(result.value);
      place = result.value.cursor;
    }
  } finally {
    // One that still waits ends with the client.
    void items.return().catch(() => {});
    printer.end();
    const isInterrupted = interruption.exitCode() !== undefined && !host.stdout.closed.aborted;
    if (isInterrupted)
      host.stderr.write(`\nresume with: ${resumeCommand(flags, { cursor: place, from })}\n`);
  }
  return interruption.exitCode();
}

/** The place a tail begins behind; undefined for the beginning. */
async function cursorOf({ sessiond }: Server, flags: TailFlags, since: Since | undefined) {
  if (since === undefined || "time" in since) return undefined;
  return "cursor" in since ? since.cursor : cursorAtEnd({ sessiond, sessionId: flags.session });
}

function filterOf({ kind, author }: TailFlags, from: Date | undefined) {
  return (event: SessionEvent): boolean =>
    (kind === undefined || kind.includes(event.kind)) &&
    (author === undefined || author.includes(event.author)) &&
    (from === undefined || event.createTime >= from);
}

function printerOf(output: DataOutput, flags: TailFlags): Printer {
  const format = outputFormat(flags.output, "text", output);
  if (format === "text") {
    const full = flags.full === true;
    const toLine = eventLines({ output, withSession: flags.session === undefined, full });
    return {
      print: ({ sessionId, event }) => {
        output.write(toLine(sessionId, event));
        return output.drained();
      },
      end() {},
    };
  }
  const writer = jsonWriter(output, format);
  return {
    print: ({ sessionId, event, cursor }) =>
      writer.write({ sessionId, cursor, event: toJson(EventSchema, event.message) }),
    end: () => writer.end(),
  };
}
