import type { Socket } from "node:net";

/** The first 14 bytes of every HTTP/2 connection (RFC 9113, section 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0");

export type Protocol = "http2" | "http1";

/**
 * Tells by the first bytes of a connection which protocol it speaks, and leaves the bytes unread.
 *
 * Nothing else may read the socket before `decided` is called. It is not called when the peer
 * hangs up first. A peer that has not sent enough after `timeoutMs` is cut off.
 */
export function sniff(
  socket: Socket,
  timeoutMs: number,
  decided: (protocol: Protocol) => void,
): void {
  let head: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  const stop = () => {
    clearTimeout(timer);
    socket.off("data", onData);
    socket.off("end", onEnd);
    socket.off("close", stop);
  };
  const onEnd = () => socket.destroy();
  const onData = (chunk: Buffer) => {
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    const protocol = protocolOf(head);
    if (protocol === undefined) {
      return;
    }
    stop();
    // Paused, or the bytes put back would flow to nobody.
    socket.pause();
    socket.unshift(head);
    decided(protocol);
  };
  socket.on("data", onData);
  socket.on("end", onEnd);
  socket.on("close", stop);
}

/** Absent: the bytes so far could still become either. */
function protocolOf(head: Buffer): Protocol | undefined {
  const length = Math.min(head.length, PREFACE.length);
  if (PREFACE.compare(head, 0, length, 0, length) !== 0) {
    return "http1";
  }
  return length === PREFACE.length ? "http2" : undefined;
}
