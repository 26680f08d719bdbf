import type { App, AppOptions } from "../app.ts";
import { type Flags, loadConfig } from "../config.ts";
import { openLogger } from "../telemetry/logger.ts";
import { exitCodes } from "./exit-codes.ts";
import type { Host } from "./host.ts";
import { startText } from "./start-text.ts";

/** Starts everything a configuration asks for. */
export type StartApp = (options: Pick<AppOptions, "config" | "log" | "stdout">) => Promise<App>;

/**
 * Runs a server until a signal or a failure ends it, and returns the exit code.
 *
 * Everything for people and the log go to stderr; on stdout there is nothing but what a sink writes. The
 * first signal stops in order, a second one ends the process at once. SIGHUP has sinks begin their files
 * anew.
 *
 * Errors: StartError when the configuration is wrong or the server cannot start as asked.
 */
export async function serve(args: {
  flags: Flags;
  host: Host;
  /** Default: the whole server. */
  startApp?: StartApp;
}): Promise<number> {
  const { flags, host, startApp = startServer } = args;
  const { config } = await loadConfig({ flags, env: host.env, cwd: host.cwd });
  const { log, flush } = openLogger({
    level: config.logLevel,
    readable: host.stderr.isTerminal,
  });

  const stopListening = [
    host.onCrash((err) => {
      log.fatal({ err }, "an error was not caught; the server ends");
      flush();
      host.exit(exitCodes.crash);
    }),
  ];
  const signalled = Promise.withResolvers<void>();
  let isStopping = false;
  stopListening.push(
    host.onSignal((signal) => {
      if (isStopping) {
        log.warn({ signal }, "second signal; the server ends at once");
        flush();
        host.exit(exitCodes[signal]);
        return;
      }
      isStopping = true;
      log.info({ signal }, "stopping");
      signalled.resolve();
    }),
  );

  // Without a file there is nothing to do at SIGHUP, and it ends the process as it does any other.
  let reopen = () => {};
  if (Object.values(config.sinks ?? {}).some(({ type }) => type === "file")) {
    stopListening.push(host.onHangup(() => reopen()));
  }

  try {
    const app = await startApp({ config, log, stdout: host.stdout });
    reopen = () => void app.reopen();
    if (!isStopping) host.stderr.write(startText(config, app.addresses));
    log.debug({ ...app.addresses, store: config.store }, "ready");
    const stopped = signalled.promise.then(() => app.stop());
    const failure = await Promise.race([stopped, app.failed]);
    if (failure === undefined) {
      log.info("stopped");
      return exitCodes.done;
    }
    // Nothing is stopped in order: what the store holds is unknown until it is opened again.
    log.fatal({ err: failure }, "the store failed; the server ends");
    return exitCodes.storeFailed;
  } finally {
    for (const stop of stopListening) stop();
    flush();
  }
}

async function startServer(options: AppOptions): Promise<App> {
  const app = await import("../app.ts");
  return app.startApp(options);
}
