import type { Notice } from "./log-records.ts";
import type { OtlpSettings } from "./settings.ts";
import type { OwnRange, SessionFacts } from "./source.ts";

/*
 * What the main thread and the thread that encodes tell each other. Events travel in their binary form, as
 * `EventBatch`, which costs the main thread less than to copy their structure.
 */

/** Given to the thread when it starts. */
export type Start = OtlpSettings;

export type ToThread =
  | {
      readonly kind: "deliver";
      readonly id: number;
      readonly namespace: string;
      readonly happenings: readonly (Uint8Array | Notice)[];
    }
  | { readonly kind: "abort"; readonly id: number }
  | { readonly kind: "found"; readonly id: number; readonly found: Found };

/** What was looked up; events are an `EventBatch`. */
export type Found = { readonly facts: SessionFacts | undefined } | { readonly events: Uint8Array };

export type FromThread =
  | { readonly kind: "delivered"; readonly id: number }
  | {
      readonly kind: "failed";
      readonly id: number;
      readonly message: string;
      readonly isRefused: boolean;
      readonly retryAfterMs: number | undefined;
    }
  | { readonly kind: "look"; readonly id: number; readonly question: Question }
  | { readonly kind: "rejected"; readonly signal: string; readonly rejected: number };

export type Question =
  | {
      readonly of: "session";
      readonly namespace: string;
      readonly sessionId: string;
      readonly uid: string;
    }
  | ({ readonly of: "events" } & OwnRange);
