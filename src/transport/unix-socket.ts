import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { StartError } from "../errors.ts";

/**
 * Makes room for a unix socket: removes one that a dead server left behind.
 *
 * Throws StartError if something listens there or if the path is not a socket. Two servers that
 * start at the same moment are kept apart by the lock of the data folder, not by this.
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      return undefined;
    }
    throw new StartError(`cannot use the socket ${path}: ${error.message}`, error);
  });
  if (found === undefined) {
    return;
  }
  if (!found.isSocket()) {
    throw new StartError(`${path} exists and is not a socket; choose another path or remove it`);
  }
  if (await isListening(path)) {
    throw new StartError(
      `another server listens on ${path}; stop it, or choose another socket path`,
    );
  }
  await unlink(path).catch((error: unknown) => {
    throw new StartError(`cannot remove the stale socket ${path}; remove it by hand`, error);
  });
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.on("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", (error: NodeJS.ErrnoException) => {
      switch (error.code) {
        case "ECONNREFUSED":
        case "ENOENT":
          resolve(false);
          break;
        // Somebody listens and its queue is full.
        case "EAGAIN":
          resolve(true);
          break;
        default:
          reject(new StartError(`cannot tell whether ${path} is in use: ${error.message}`, error));
      }
    });
  });
}
