import * as z from "zod";
import type { Settings } from "./config.ts";
import { usualKeyVariable } from "./config-summariser.ts";
import * as values from "./config-values.ts";
import { logLevels } from "./telemetry/logger.ts";

/** A setting as flag, variable and key of the file. */
export interface Setting<T> {
  /** As the command line shows it, with the name of its value if it takes one. */
  readonly flag: string;
  readonly env: string;
  /** Where it is in a file, when not at the top under its own name. */
  readonly inFile?: readonly [table: string, key: string];
  /** What it decides, for the help text. */
  readonly help: string;
  /** What a right value is, to follow "it must be". */
  readonly expected: string;
  readonly schema: z.ZodType<T>;
  /** As a user would write it. Absent: not set. */
  readonly default?: string | boolean;
  /** The flag may be given more than once; its values add up. */
  readonly repeats?: true;
}

const addressForm = `"host:port", "[ip6]:port" or a port`;

/** Every setting, by its name in a file unless it says `inFile`. */
export const settings: { readonly [K in keyof Settings]: Setting<Settings[K]> } = {
  listen: {
    flag: "--listen <address>",
    env: "SESSIOND_LISTEN",
    help: "where calls are taken",
    expected: addressForm,
    schema: values.address,
    default: "127.0.0.1:7377",
  },
  unix: {
    flag: "--unix <path>",
    env: "SESSIOND_UNIX",
    help: "a unix socket that takes calls too",
    expected: "a path of at most 107 bytes",
    schema: values.socketPath,
  },
  probeListen: {
    flag: "--probe-listen <address>",
    env: "SESSIOND_PROBE_LISTEN",
    help: 'where health and metrics are, for probes, or "off"',
    expected: `${addressForm}, or "off"`,
    schema: values.addressOrOff,
    default: "127.0.0.1:7378",
  },
  data: {
    flag: "--data <folder>",
    env: "SESSIOND_DATA",
    help: "the data folder",
    expected: "the path of a folder",
    schema: values.path,
    default: "./.sessiond",
  },
  store: {
    flag: "--store <engine>",
    env: "SESSIOND_STORE",
    help: 'what keeps the sessions: "lmdb", or "memory", which forgets them at the end',
    expected: `"lmdb" or "memory"`,
    schema: z.enum(["lmdb", "memory"]),
    default: "lmdb",
  },
  logLevel: {
    flag: "--log-level <level>",
    env: "SESSIOND_LOG_LEVEL",
    help: `the least level that is logged: ${logLevels.join(", ")}`,
    expected: `one of ${logLevels.join(", ")}`,
    schema: z.enum(logLevels),
    default: "info",
  },
  allowHosts: {
    flag: "--allow-host <names>",
    env: "SESSIOND_ALLOW_HOSTS",
    help: "Host headers taken beside those of this machine, separated by commas",
    expected: `names such as "sessiond.internal", separated by commas, without scheme and path`,
    schema: values.hosts,
    default: "",
    repeats: true,
  },
  allowOrigins: {
    flag: "--allow-origin <origins>",
    env: "SESSIOND_ALLOW_ORIGINS",
    help: "Origin headers taken, so that pages from there reach the server, separated by commas",
    expected: `origins such as "http://localhost:5173", separated by commas, without path`,
    schema: values.origins,
    default: "",
    repeats: true,
  },
  preloadTokenizer: {
    flag: "--no-preload-tokenizer",
    env: "SESSIOND_PRELOAD_TOKENIZER",
    help: "load the tokenizer at the first count rather than after the start",
    expected: "true or false",
    schema: values.toggle,
    default: true,
  },
  archive: {
    flag: "--archive <folder>",
    env: "SESSIOND_ARCHIVE",
    help: "where ended sessions go, as bundles, before they are removed",
    expected: "the path of a folder",
    schema: values.path.optional(),
  },
  maxMapSize: {
    flag: "--max-map-size <bytes>",
    env: "SESSIOND_MAX_MAP_SIZE",
    help: 'how large the data may grow, for example "64GiB"',
    expected: values.sizeWords,
    schema: values.byteSize,
  },
  sinkStdout: {
    flag: "--sink-stdout",
    env: "SESSIOND_SINK_STDOUT",
    help: "write every event to stdout, as a line of JSON",
    expected: "true or false",
    schema: values.toggle,
    default: false,
  },
  dangerouslyAllowRemote: {
    flag: "--dangerously-allow-remote",
    env: "SESSIOND_DANGEROUSLY_ALLOW_REMOTE",
    help: "listen where other machines can read and write every session",
    expected: "true or false",
    schema: values.toggle,
    default: false,
  },
  summariserUrl: {
    flag: "--summariser-url <url>",
    env: "SESSIOND_SUMMARISER_URL",
    inFile: ["summariser", "url"],
    help: "an OpenAI-compatible endpoint that makes summaries for compactions",
    expected: `an http or https URL such as "https://api.openai.com/v1", without user and query`,
    schema: values.apiUrl.optional(),
  },
  summariserModel: {
    flag: "--summariser-model <name>",
    env: "SESSIOND_SUMMARISER_MODEL",
    inFile: ["summariser", "model"],
    help: "the model that makes summaries",
    expected: "the name of a model, up to 200 characters",
    schema: z.string().min(1).max(200).optional(),
  },
  summariserKeyFile: {
    flag: "--summariser-key-file <path>",
    env: "SESSIOND_SUMMARISER_KEY_FILE",
    inFile: ["summariser", "key_file"],
    help: "a file with the key of the summariser's endpoint",
    expected: "the path of a file",
    schema: values.path.optional(),
  },
  summariserKeyEnv: {
    flag: "--summariser-key-env <variable>",
    env: "SESSIOND_SUMMARISER_KEY_ENV",
    inFile: ["summariser", "key_env"],
    help: `the variable with that key, if not ${usualKeyVariable}`,
    expected: "the name of a variable",
    schema: values.variableName.optional(),
  },
  summariserTimeout: {
    flag: "--summariser-timeout <time>",
    env: "SESSIOND_SUMMARISER_TIMEOUT",
    inFile: ["summariser", "timeout"],
    help: "time for one request to the summariser's endpoint",
    expected: `a time from "1ms" to "10m"`,
    schema: values.duration,
    default: "30s",
  },
  summariserMaxTokens: {
    flag: "--summariser-max-tokens <number>",
    env: "SESSIOND_SUMMARISER_MAX_TOKENS",
    inFile: ["summariser", "max_tokens"],
    help: "tokens one answer of the summariser's endpoint may have",
    expected: "a number from 1 to 1000000",
    schema: values.count,
    default: "4096",
  },
};
