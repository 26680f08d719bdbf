import type { RetryOptions, Sessiond, SessiondError } from "@sessiond/client";
import type { Command } from "commander";
import { CommandError } from "./command-error.ts";
import type { CommandLine } from "./command-line.ts";
import { exitCodes } from "./exit-codes.ts";
import type { Host } from "./host.ts";
import { type Interruption, listenForInterruption } from "./interruption.ts";

/** Which server and namespace a command talks to. */
export interface ServerFlags {
  readonly address?: string;
  readonly namespace?: string;
}

/** A connection for the time of one command. */
export interface Server {
  readonly host: Host;
  readonly sessiond: Sessiond;
  readonly interruption: Interruption;
}

export function addServerOptions(command: Command): Command {
  return addServerAddress(command).option(
    "--namespace <name>",
    'namespace of the sessions (default "default")',
  );
}

/** For what concerns the server as a whole. */
export function addServerAddress(command: Command): Command {
  return command.option(
    "--address <address>",
    "host:port or unix:/path of the server (default 127.0.0.1:7377; env SESSIOND_ADDRESS)",
  );
}

/**
 * Runs a command against a server: connects, stops at signals and when stdout is closed, and turns
 * the client's errors into lines for people and exit codes.
 *
 * `work` may return an exit code of its own; otherwise the command is done when it returns. `retry`
 * is how calls are repeated; default: as clients do.
 *
 * Errors: CommandError.
 */
export async function withServer(
  { host, endsWith }: CommandLine,
  flags: ServerFlags,
  work: (server: Server) => Promise<number | undefined>,
  retry?: RetryOptions,
): Promise<void> {
  // Loaded only now: `serve` and `--help` do without the client.
  const sdk = await import("@sessiond/client");
  const { SESSIOND_ADDRESS } = host.env;
  using interruption = listenForInterruption(host);
  try {
    await using sessiond = new sdk.Sessiond({
      address: flags.address ?? (SESSIOND_ADDRESS || undefined),
      namespace: flags.namespace,
      retry,
    });
    try {
      const exitCode = await work({ host, sessiond, interruption });
      endsWith(exitCode ?? interruption.exitCode() ?? exitCodes.done);
    } catch (error) {
      const interrupted = interruption.exitCode();
      if (interrupted === undefined) throw withAdvice(error, sessiond);
      endsWith(interrupted);
    }
  } catch (error) {
    throw error instanceof sdk.SessiondError ? toCommandError(error) : error;
  }
}

/** Turns an error of the client into one of the command line. */
export function toCommandError(error: SessiondError): CommandError {
  return new CommandError(exitCodeOf(error), error.message, error);
}

/** Says what to do in words of the command line where the server's are for programs. */
export function withAdvice(error: unknown, { address, namespace }: Sessiond): unknown {
  if (!(error instanceof Error)) return error;
  const { reason, sessionId } = error as Partial<SessiondError>;
  if (reason === "SESSION_NOT_FOUND") {
    return new CommandError(
      exitCodes.notFound,
      `no session "${sessionId}" in namespace "${namespace}"; "sessiond sessions" lists those there are, "sessiond append --create" makes one`,
      error,
    );
  }
  if (error.name !== "ServerUnavailableError") return error;
  return new CommandError(
    exitCodes.noServer,
    `no server answers at ${address}; start one with "sessiond", or name another with --address or SESSIOND_ADDRESS`,
    error,
  );
}

function exitCodeOf({ code, reason }: SessiondError): number {
  switch (code) {
    case "NOT_FOUND":
      return exitCodes.notFound;
    case "INVALID_ARGUMENT":
      return exitCodes.cannotStart;
    case "UNAVAILABLE":
      if (reason === "WRITES_REFUSED") return exitCodes.refused;
      return reason === "COMMIT_UNKNOWN" ? exitCodes.storeFailed : exitCodes.noServer;
    case "DEADLINE_EXCEEDED":
    case "CANCELLED":
      return exitCodes.noServer;
    case "DATA_LOSS":
      return exitCodes.storeFailed;
    case "INTERNAL":
    case "UNKNOWN":
      return exitCodes.crash;
    default:
      return exitCodes.refused;
  }
}
