/*
 * `<archive>/<namespace>/<session id>~<uid>.jsonl.zst`. In the id every byte that is no letter, digit,
 * '-' or '_' stands as `%` and two hexadecimal digits, so that no id leads out of the folder or is a
 * name that file systems treat in their own way.
 */

/** Longest name that file systems take, less what stands behind an id. */
const maxIdBytes = 255 - "~00000000-0000-0000-0000-000000000000.jsonl.zst.partial".length;
const pattern = /^(.+)~([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jsonl\.zst$/;

/**
 * Name of the file of a session. An id that is too long for it is cut; the bundle has it whole, and
 * the uid tells files apart.
 */
export function archiveFileName({ sessionId, uid }: { sessionId: string; uid: string }): string {
  let encoded = "";
  for (const byte of Buffer.from(sessionId)) {
    const character = String.fromCharCode(byte);
    const next = /[A-Za-z0-9_-]/.test(character)
      ? character
      : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`;
    if (encoded.length + next.length > maxIdBytes) break;
    encoded += next;
  }
  return `${encoded}~${uid}.jsonl.zst`;
}

/** What the name of a file says; undefined: it is none of an archive. */
export function parseArchiveFileName(name: string): { sessionId: string; uid: string } | undefined {
  const [, encoded, uid] = pattern.exec(name) ?? [];
  if (encoded === undefined || uid === undefined) return undefined;
  try {
    return { sessionId: decodeURIComponent(encoded), uid };
  } catch {
    // Cut inside of a character: as much of it as there is.
    return { sessionId: encoded, uid };
  }
}

/** Folder of a namespace: its characters are harmless, but for names that mean folders. */
export function archiveFolderName(namespace: string): string {
  return /^\.+$/.test(namespace) ? namespace.replaceAll(".", "%2E") : namespace;
}
