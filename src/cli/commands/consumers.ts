import { type JsonObject, toJson } from "@bufbuild/protobuf";
import type { Consumer } from "@sessiond/client";
import { ConsumerSchema } from "@sessiond/contract";
import { Argument, type Command } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Output } from "../host.ts";
import { jsonWriter, outputFormat, outputOption } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { paintFor } from "../text/colours.ts";
import { numberText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";
import { writeTable } from "../text/table.ts";
import { age } from "../text/times.ts";
import { cut } from "../text/width.ts";

interface Flags extends ServerFlags {
  readonly output?: string;
}

const pageSize = 500;

const help = `
LAG is what a consumer has not read: events of its session, or commits of its namespace. Names that
begin with "sink." are the server's own; those of sinks that are configured no more can be deleted.

Examples:
  sessiond consumers                         all of the namespace, with who reads them
  sessiond consumers delete audit            its reader stops; events stay
  sessiond tail -f --consumer audit          reads as one, and makes it`;

export function addConsumers(program: Command, line: CommandLine): void {
  const command = program
    .command("consumers")
    .description("list named readers with their lag, or delete some")
    .addArgument(new Argument("[action]", "delete; without it they are listed").choices(["delete"]))
    .argument("[consumer...]", "names of the consumers to delete")
    .addOption(outputOption("table"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action(async (action: string | undefined, names: string[], flags: Flags) => {
    if (action !== undefined && names.length === 0) {
      throw new CommandError(exitCodes.cannotStart, "name the consumers to delete");
    }
    await withServer(line, flags, (server) =>
      action === undefined ? list(server, flags) : deleteAll(server, names),
    );
  });
}

async function deleteAll({ host, sessiond, interruption }: Server, names: readonly string[]) {
  for (const name of names) {
    await sessiond.consumers.delete(name, { signal: interruption.signal });
    host.stdout.write(`${safe(name)}: deleted\n`);
  }
  return undefined;
}

async function list({ host, sessiond, interruption }: Server, flags: Flags) {
  const format = outputFormat(flags.output, "table", host.stdout);
  const { signal } = interruption;
  const consumers: Consumer[] = [];
  for await (const consumer of sessiond.consumers.list({ pageSize, signal })) {
    consumers.push(consumer);
  }
  if (format === "table") {
    if (consumers.length === 0) host.stderr.write("no consumers\n");
    else await writeTable(host.stdout, tableOf(consumers, host.stdout));
    return undefined;
  }
  const writer = jsonWriter(host.stdout, format);
  for (const { message, lag } of consumers) {
    const json = toJson(ConsumerSchema, message) as JsonObject;
    // Also when it is 0.
    await writer.write({ ...json, lag });
  }
  writer.end();
  return undefined;
}

function tableOf(consumers: readonly Consumer[], output: Output) {
  const now = new Date();
  const paint = paintFor(output);
  return {
    head: ["CONSUMER", "LAG", "READER", "COMMITTED", "SESSION", "FILTER"],
    rows: consumers.map(({ name, lag, reader, commitTime, sessionId = "", filter }) => [
      paint("cyan", safe(name)),
      numberText(lag),
      reader === undefined ? "nobody" : cut(safe(reader.name) || "somebody", 40),
      commitTime === undefined ? "never" : age(commitTime, now),
      cut(safe(sessionId), 40),
      cut(safe(filter), 60),
    ]),
  };
}
