/** What messages are written to: the part of a grpc-js call, or the same of an HTTP/1.1 answer. */
interface WritableCall {
  readonly cancelled: boolean;
  once(event: "cancelled", listener: () => void): unknown;
  write(bytes: Buffer, accepted: () => void): unknown;
}

/**
 * Writes the messages of an iterator to a call, one at a time: the next is asked for when the
 * connection has taken the one before, so a client that does not read costs one message.
 *
 * Resolves when the iterator is done or the client is gone; rejects with what the iterator throws.
 * The iterator is returned as soon as the client is gone, also while a write waits for it.
 */
export async function pump<T>(args: {
  readonly call: WritableCall;
  readonly iterator: AsyncIterator<T>;
  /** What `iterator.next()` gave first; the caller begins, so that it can send headers. */
  readonly first: Promise<IteratorResult<T>>;
  readonly encode: (value: T) => Buffer;
}): Promise<void> {
  const { call, iterator, encode } = args;
  let accepted: (() => void) | undefined;
  const leave = () => {
    accepted?.();
    // An error while it tidies up has nobody left to hear it.
    iterator.return?.().catch(() => {});
  };
  if (call.cancelled) {
    leave();
  } else {
    // grpc-js says "cancelled" also after an end; the iterator is done then and does not mind.
    call.once("cancelled", leave);
  }
  // Only the bytes are held while a write waits, and not the message they were made from.
  const bytesOf = async (next: Promise<IteratorResult<T>>) => {
    const { done, value } = await next;
    return done === true || call.cancelled ? undefined : encode(value);
  };
  let bytes = await bytesOf(args.first);
  while (bytes !== undefined) {
    const message = bytes;
    await new Promise<void>((resolve) => {
      accepted = resolve;
      call.write(message, () => resolve());
    });
    bytes = await bytesOf(iterator.next());
  }
}
