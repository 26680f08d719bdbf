import type { FileReference, ImageReference } from "@sessiond/contract";

/** A reference to an image or a file. */
export type Media =
  | { readonly case: "image"; readonly value: ImageReference }
  | { readonly case: "file"; readonly value: FileReference };

/** Text that stands for an image or a file where a provider takes none. Bytes in it are left out. */
export function referenceText({ case: what, value }: Media): string {
  const name = what === "file" && value.name !== "" ? `${value.name} ` : "";
  const uri = /^data:/i.test(value.uri) ? value.uri.split(",", 1)[0] : value.uri;
  return `[${what}: ${name}${uri}]`;
}

/** Media type of a reference, in small letters: as given, else as its data URI says. Empty: unknown. */
export function mediaTypeOf({ value }: Media): string {
  return (value.mediaType || /^data:([^;,]*)/i.exec(value.uri)?.[1] || "").toLowerCase();
}

/** Bytes that a reference carries itself, in base64. Undefined if it carries none, or others. */
export function inlineBytes({ value }: Media): string | undefined {
  const bytes = /^data:[^,]*;base64,([A-Za-z0-9+/]+={0,2})$/i.exec(value.uri)?.[1];
  return bytes !== undefined && bytes.length % 4 === 0 ? bytes : undefined;
}

/** Whether a provider could fetch the reference. */
export function isWebAddress({ value }: Media): boolean {
  return /^https?:\/\/[^\s]+$/i.test(value.uri);
}

/** Whether a file is a PDF, by its media type, or without one by its name or address. */
export function isPdf(media: Media): boolean {
  if (media.case !== "file") return false;
  const type = mediaTypeOf(media);
  if (type !== "") return type === "application/pdf";
  return [media.value.name, media.value.uri].some((name) => /\.pdf(?:[?#]|$)/i.test(name));
}
