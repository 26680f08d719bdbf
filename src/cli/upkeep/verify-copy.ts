import type { VerifySummary } from "@sessiond/contract";
import type { StoreSize } from "../../store/store.ts";
import type { Host } from "../host.ts";
import type { ProgressBar } from "../progress-bar.ts";
import { openStore } from "./folder.ts";
import { findingText } from "./report.ts";

/** What was found in a store that is about to take the place of another. */
export interface VerifiedCopy {
  readonly summary: VerifySummary;
  readonly size: StoreSize;
}

/** Opens and verifies a store that was just made, and shows its findings on stderr. */
export async function verifyCopy(args: {
  host: Host;
  folder: string;
  bar: ProgressBar;
  signal: AbortSignal;
}): Promise<VerifiedCopy> {
  const { host, folder, bar, signal } = args;
  const { verifyStore } = await import("../../domain/upkeep/verify/verify.ts");
  await using store = await openStore(folder);
  for await (const { case: kind, value } of verifyStore(store, signal)) {
    if (kind === "summary") return { summary: value, size: await store.size() };
    if (kind === "progress") bar.update(value.share, `verify, ${value.phase}`);
    else {
      bar.clear();
      host.stderr.write(findingText(host, value));
    }
  }
  throw new Error("a verify ended without its summary");
}
