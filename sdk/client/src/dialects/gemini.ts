/*
 * `systemInstruction` and `contents` of Gemini's generateContent, as windows are rendered. They fit
 * where Google's own package takes `Content`.
 */

/** The part of a request to Gemini that a window makes. */
export interface GeminiRequestPart {
  /** Absent without instructions. */
  systemInstruction?: { parts: { text: string }[] };
  contents: GeminiContent[];
}

/** One side's words. Roles alternate; the first and the last are the user's. */
export interface GeminiContent {
  role: "user" | "model";
  parts: GeminiPart[];
}

/** Exactly one of the fields beside `thoughtSignature` is there. */
export interface GeminiPart {
  text?: string;
  functionCall?: { name: string; args: Record<string, unknown> };
  /** `response` has what the tool said under `output`, or under `error`. */
  functionResponse?: { name: string; response: Record<string, unknown> };
  /** Bytes in base64. */
  inlineData?: { mimeType: string; data: string };
  fileData?: { mimeType: string; fileUri: string };
  thoughtSignature?: string;
}
