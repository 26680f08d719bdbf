import type { JsonObject } from "@bufbuild/protobuf";
import { inlineBytes, isPdf, isWebAddress, type Media, mediaTypeOf } from "./media.ts";

/*
 * Images and files in the providers' own forms. Undefined: the provider takes none like it, and a
 * text reference stands in its place.
 */

/** Images that OpenAI and Anthropic read. */
const commonImages = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

/** What Gemini reads, of the types that are plainly one thing. */
const geminiTypes = new Set([
  "image/png",
  "image/jpeg",
  "image/webp",
  "image/heic",
  "image/heif",
  "application/pdf",
  "text/plain",
]);

/** Address of an image that OpenAI takes in user messages: of the web, or with its bytes. */
export function openaiImage(media: Media): string | undefined {
  if (media.case !== "image" || !isReadable(media, commonImages)) return undefined;
  return isWebAddress(media) || inlineBytes(media) !== undefined ? media.value.uri : undefined;
}

/** Address of a file that OpenAI's responses take in user messages: a PDF of the web. */
export function openaiFile(media: Media): string | undefined {
  return isPdf(media) && isWebAddress(media) ? media.value.uri : undefined;
}

/** Block of an image or a PDF for Anthropic, which takes addresses with https only. */
export function anthropicMedia(media: Media): JsonObject | undefined {
  const isImage = media.case === "image" && isReadable(media, commonImages);
  if (!isImage && !isPdf(media)) return undefined;
  const type = isImage ? "image" : "document";
  const data = inlineBytes(media);
  if (data !== undefined) {
    return { type, source: { type: "base64", media_type: mediaTypeOf(media), data } };
  }
  const { uri } = media.value;
  if (!isWebAddress(media) || !/^https:/i.test(uri)) return undefined;
  return { type, source: { type: "url", url: uri } };
}

/** Part of an image or a file for Gemini: bytes, or an address of Google's own. */
export function geminiMedia(media: Media): JsonObject | undefined {
  const mimeType = mediaTypeOf(media);
  if (!geminiTypes.has(mimeType)) return undefined;
  const data = inlineBytes(media);
  if (data !== undefined) return { inlineData: { mimeType, data } };
  const { uri } = media.value;
  const isGoogles =
    /^gs:\/\/[^\s]+$/.test(uri) ||
    /^https:\/\/generativelanguage\.googleapis\.com\/(?:v\w+\/)?files\/[^\s/]+$/.test(uri);
  return isGoogles ? { fileData: { mimeType, fileUri: uri } } : undefined;
}

/** A type that is read; none at all is left to the provider to find out, if it fetches the image. */
function isReadable(media: Media, types: ReadonlySet<string>): boolean {
  const type = mediaTypeOf(media);
  return types.has(type) || (type === "" && isWebAddress(media));
}
