import { create, toJson } from "@bufbuild/protobuf";
import { StoreInfoSchema, type StoreStat, StoreStatSchema } from "@sessiond/contract";
import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import type { Host } from "../host.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { addServerAddress, type ServerFlags, withServer } from "../server.ts";
import { openStore, withFolder } from "../upkeep/folder.ts";
import { writeStat } from "../upkeep/stat-text.ts";

interface Flags extends ServerFlags {
  readonly data?: string;
  readonly output?: string;
}

const help = `
Says how large the store is, what its namespaces have, and which sessions are the biggest, the oldest
that have not ended, and the noisiest. Asks the running server; with --data it opens the folder of a
server that is stopped, or a backup.

Examples:
  sessiond stat
  sessiond stat --data /var/lib/sessiond
  sessiond stat -o json | jq '.biggest[].sessionId'`;

export function addStat(program: Command, line: CommandLine): void {
  const command = program
    .command("stat")
    .description("say how large the store is, and which sessions stand out")
    .option("--data <folder>", "look into this folder, while no server has it open")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerAddress(command);
  command.action((flags: Flags) => stat(line, flags));
}

async function stat(line: CommandLine, flags: Flags): Promise<void> {
  const { data, output } = flags;
  if (data === undefined) {
    await withServer(line, flags, async ({ host, sessiond, interruption: { signal } }) => {
      const { fromConnectError } = await import("@sessiond/client");
      try {
        const response = await sessiond.clients.server.stat({}, { signal });
        return await show(host, output, response.stat ?? create(StoreStatSchema));
      } catch (error) {
        throw fromConnectError(error);
      }
    });
    return;
  }
  await withFolder(line, data, async ({ host, folder }) => {
    const { statOf } = await import("../../domain/upkeep/stat.ts");
    await using store = await openStore(folder);
    const { engine, storeId, durability, schemaVersion } = store.capabilities;
    const info = create(StoreInfoSchema, {
      engine,
      storeId: Buffer.from(storeId).toString("hex"),
      durability,
      schemaVersion,
    });
    return await show(host, output, { ...(await statOf({ store, clock: Date.now })), store: info });
  });
}

async function show(host: Host, output: string | undefined, stat: StoreStat): Promise<undefined> {
  const format = outputFormat(output, "text", host.stdout);
  if (format === "text") await writeStat(host.stdout, stat);
  else writeJson(host.stdout, format, toJson(StoreStatSchema, stat));
  return undefined;
}
