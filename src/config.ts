import { dirname, resolve } from "node:path";
import { readConfigFile } from "./config-file.ts";
import { checkTables, nameInFile, settingKeys, valueIn } from "./config-in-file.ts";
import { settings } from "./config-settings.ts";
import { shownSinks, withStdout } from "./config-sinks.ts";
import {
  type SummariserConfig,
  type SummariserSettings,
  summariserConfig,
} from "./config-summariser.ts";
import { type ConfigTables, readTables, tableKeys } from "./config-tables.ts";
import { type Address, isLoopback } from "./config-values.ts";
import { StartError } from "./errors.ts";
import type { LogLevel } from "./telemetry/logger.ts";

/** What an operator can decide about a server by flag, environment or file. */
export interface Settings extends SummariserSettings {
  /** Where calls are taken. Default 127.0.0.1:7377. */
  readonly listen: Address;
  /** Absolute path of a unix socket that takes calls too. Default none. */
  readonly unix: string | undefined;
  /** Where health is, and nothing else. Default 127.0.0.1:7378; undefined: nowhere. */
  readonly probeListen: Address | undefined;
  /** Absolute path of the data folder. Default `.sessiond` in the working folder. */
  readonly data: string;
  /** What keeps the sessions. Default lmdb; memory forgets everything at the end. */
  readonly store: "lmdb" | "memory";
  /** The least level that is logged. Default info. */
  readonly logLevel: LogLevel;
  /** `Host` headers taken beside those of this machine, in lower case. Default none. */
  readonly allowHosts: readonly string[];
  /** `Origin` headers taken. Default none: no web page reaches the server through a browser. */
  readonly allowOrigins: readonly string[];
  /** The tokenizer is loaded after the start rather than at the first count. Default true. */
  readonly preloadTokenizer: boolean;
  /** Absolute path of the folder that ended sessions go to before they are removed. Default none. */
  readonly archive: string | undefined;
  /** Bytes the data may grow to. Default: the store's own limit. */
  readonly maxMapSize: number | undefined;
  /** Every event is written to stdout as a line of JSON. Default false. */
  readonly sinkStdout: boolean;
  /** `listen` may be an address that other machines reach. Default false. */
  readonly dangerouslyAllowRemote: boolean;
}

/** What an operator can decide about a server. */
export interface Config extends Omit<Settings, keyof SummariserSettings>, ConfigTables {
  /** The endpoint that makes summaries. Absent: there is none. */
  readonly summariser?: SummariserConfig;
}

type Key = keyof Settings;

/** Values of the command line by their names in `Settings`, and the file to read. */
export type Flags = { readonly [K in Key | "config"]?: unknown };

/** A value, and where it came from: `flag --listen`, `env SESSIOND_LISTEN`, `file F` or `default`. */
export interface Source {
  readonly value: unknown;
  readonly from: string;
}

/** A configuration and the origin of each value. */
export interface LoadedConfig {
  readonly config: Config;
  readonly sources: { readonly [K in Key]: Source };
  /** The tables of `config` as the file has them, or not there. */
  readonly tableSources: { readonly [K in keyof ConfigTables]-?: Source };
}

/**
 * Works out the configuration: a flag beats the environment, that beats the file, that beats the
 * default. An empty variable counts as not set.
 *
 * The file is the one `--config` or `SESSIOND_CONFIG` names, or else `sessiond.yaml` or
 * `sessiond.json` in `cwd` if there is one. Paths in it start at its folder, all others at `cwd`.
 *
 * Errors: StartError, one sentence that names the value, its origin and what would be right.
 */
export async function loadConfig(args: {
  flags: Flags;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
}): Promise<LoadedConfig> {
  const { flags, env, cwd } = args;
  const { SESSIOND_CONFIG: variable } = env;
  const named = flags.config ?? (variable || undefined);
  const file = await readConfigFile({
    name: named === undefined ? undefined : String(named),
    folder: cwd,
    keys: [...settingKeys, ...tableKeys],
  });
  checkTables(file);

  const find = (key: Key): Source & { readonly folder: string } => {
    const { flag, env: name, default: fallback } = settings[key];
    const given = flags[key];
    if (given !== undefined) return { value: given, from: `flag ${nameOf(flag)}`, folder: cwd };
    if (env[name]) return { value: env[name], from: `env ${name}`, folder: cwd };
    const inFile = valueIn(file, key);
    if (file === undefined || inFile === undefined) {
      return { value: fallback, from: "default", folder: cwd };
    }
    return { value: inFile, from: `file ${file.name}`, folder: dirname(resolve(cwd, file.name)) };
  };
  const take = <K extends Key>(key: K): Settings[K] => {
    const { value, from } = find(key);
    const parsed = settings[key].schema.safeParse(value);
    if (parsed.success) return parsed.data;
    const what = from.startsWith("file ") ? `${from} has ${nameInFile(key)}` : `${from} is`;
    throw new StartError(
      `${what} ${JSON.stringify(value)}; it must be ${settings[key].expected}`,
      parsed.error,
    );
  };

  const unix = take("unix");
  const archive = take("archive");
  const keyFile = take("summariserKeyFile");
  const plain = {
    listen: take("listen"),
    unix: unix && resolve(find("unix").folder, unix),
    probeListen: take("probeListen"),
    data: resolve(find("data").folder, take("data")),
    store: take("store"),
    logLevel: take("logLevel"),
    allowHosts: take("allowHosts"),
    allowOrigins: take("allowOrigins"),
    preloadTokenizer: take("preloadTokenizer"),
    archive: archive && resolve(find("archive").folder, archive),
    maxMapSize: take("maxMapSize"),
    sinkStdout: take("sinkStdout"),
    dangerouslyAllowRemote: take("dangerouslyAllowRemote"),
  };
  const ofSummariser: SummariserSettings = {
    summariserUrl: take("summariserUrl"),
    summariserModel: take("summariserModel"),
    summariserKeyFile: keyFile && resolve(find("summariserKeyFile").folder, keyFile),
    summariserKeyEnv: take("summariserKeyEnv"),
    summariserTimeout: take("summariserTimeout"),
    summariserMaxTokens: take("summariserMaxTokens"),
  };
  const summariser = summariserConfig(ofSummariser, env);
  if (typeof summariser === "string") throw new StartError(summariser);
  const folder = file === undefined ? cwd : dirname(resolve(cwd, file.name));
  const tables = await readTables(file, { env, folder });
  const sinks = withStdout(plain.sinkStdout, tables.sinks, find("sinkStdout").from);
  const config: Config = {
    ...plain,
    ...(summariser && { summariser }),
    ...tables,
    ...(sinks && { sinks }),
  };
  if (!config.dangerouslyAllowRemote && !isLoopback(config.listen.host)) {
    throw new StartError(
      `${find("listen").from} lets other machines read and write every session at ${config.listen.host}; listen on 127.0.0.1 or a unix socket, or add --dangerously-allow-remote`,
    );
  }
  const taken: Settings = { ...plain, ...ofSummariser };
  const keys = Object.keys(settings) as Key[];
  const sources = keys.map((key) => [key, { value: taken[key], from: find(key).from }]);
  const tableSource = (table: keyof ConfigTables): Source =>
    tables[table] === undefined
      ? { value: undefined, from: "default" }
      : { value: file?.content[table], from: `file ${file?.name}` };
  const { sinks: sinkTable } = file?.content ?? {};
  return {
    config,
    sources: Object.fromEntries(sources) as LoadedConfig["sources"],
    tableSources: {
      namespaces: tableSource("namespaces"),
      costs: tableSource("costs"),
      agents: tableSource("agents"),
      sinks: { ...tableSource("sinks"), value: shownSinks(sinkTable) },
      metrics: tableSource("metrics"),
    },
  };
}

function nameOf(flag: string): string {
  return flag.replace(/ .*/, "");
}
