import { type JsonObject, toJson } from "@bufbuild/protobuf";
import type { Session, SessionParent } from "@sessiond/client";
import { SessionSchema } from "@sessiond/contract";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Output } from "../host.ts";
import { outputFormat, writeJson } from "../output-format.ts";
import type { Server } from "../server.ts";
import { type Paint, paintFor, stateColours } from "../text/colours.ts";
import { safe } from "../text/safe.ts";
import { cut } from "../text/width.ts";
import { type LineageNode, lineageOf } from "./lineage.ts";

/** Newest sessions of a namespace that are looked at: the tree is made in memory. */
const looked = 10_000;
const pageSize = 1_000;
/** Trees deeper than this are cut: they would no longer fit a line, nor a stack. */
const deepest = 200;

/** Prints the session with those it came from, and its children and forks. */
export async function tree(server: Server, id: string, { output }: { readonly output?: string }) {
  const { host, sessiond, interruption } = server;
  const { signal } = interruption;
  const asked = await sessiond.sessions.get(id, { signal });
  const sessions: Session[] = [];
  let isCut = false;
  for await (const session of sessiond.sessions.list({ pageSize, signal })) {
    isCut = sessions.length >= looked;
    if (isCut) break;
    sessions.push(session);
  }
  if (!sessions.some(({ sessionId }) => sessionId === id)) sessions.push(asked);
  const root = lineageOf(sessions.reverse(), id);
  const format = outputFormat(output, "text", host.stdout);
  if (format === "text") writeTree(host.stdout, root, id);
  else writeJson(host.stdout, format, jsonOf(root, { asked: id, depth: 0 }));
  if (isCut) {
    host.stderr.write(
      `only the newest ${looked} sessions were looked at; older ones are shown as gone\n`,
    );
  }
  return interruption.exitCode();
}

function writeTree(output: Output, root: LineageNode, asked: string): void {
  const paint = paintFor(output);
  const write = (
    node: LineageNode,
    { before, behind, depth }: { before: string; behind: string; depth: number },
  ) => {
    const isAsked = node.sessionId === asked && node.session !== undefined;
    output.write(`${paint("gray", before)}${lineOf(node, { isAsked, paint })}\n`);
    const below = [...node.children, ...node.forks];
    if (below.length > 0 && depth === deepest) {
      output.write(`${paint("gray", `${behind}└─ `)}… deeper than ${deepest} levels\n`);
      return;
    }
    for (const [index, next] of below.entries()) {
      const isLast = index === below.length - 1;
      write(next, {
        before: `${behind}${isLast ? "└─ " : "├─ "}`,
        behind: `${behind}${isLast ? "   " : "│  "}`,
        depth: depth + 1,
      });
    }
  };
  write(root, { before: "", behind: "", depth: 0 });
}

function lineOf(
  { sessionId, session }: LineageNode,
  { isAsked, paint }: { isAsked: boolean; paint: Paint },
): string {
  const name = safe(sessionId);
  if (session === undefined) return `${name}  ${paint("gray", "gone")}`;
  const { state, parent, headRevision, title } = session;
  const colour = state === undefined ? "gray" : stateColours[state];
  return [
    ...(parent === undefined ? [] : [paint("gray", relationOf(parent))]),
    isAsked ? paint("bold", `${name} *`) : paint("cyan", name),
    paint(colour, state ?? "unknown"),
    `${headRevision} events`,
    ...(title === "" ? [] : [cut(safe(title), 40)]),
  ].join("  ");
}

function relationOf({ kind, revision }: SessionParent): string {
  return kind === "child" ? "child" : `at ${revision}`;
}

function jsonOf(
  { sessionId, session, children, forks }: LineageNode,
  { asked, depth }: { asked: string; depth: number },
): JsonObject {
  if (depth > deepest) {
    throw new CommandError(
      exitCodes.refused,
      `the tree is deeper than ${deepest} levels; -o text shows so much of it`,
    );
  }
  return {
    sessionId,
    isGone: session === undefined,
    isAsked: session !== undefined && sessionId === asked,
    ...(session && { session: toJson(SessionSchema, session.message) }),
    children: children.map((child) => jsonOf(child, { asked, depth: depth + 1 })),
    forks: forks.map((fork) => jsonOf(fork, { asked, depth: depth + 1 })),
  };
}
