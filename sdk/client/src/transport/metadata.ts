import { Metadata } from "@grpc/grpc-js";

/** Keys that end so carry bytes: base64 in `Headers`, a Buffer in `Metadata`. */
const binarySuffix = "-bin";

/** Turns the headers of a Connect request into gRPC metadata. */
export function toMetadata(headers: Headers): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of headers) {
    metadata.add(key, key.endsWith(binarySuffix) ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}

/** Adds gRPC metadata to the headers or trailers of a Connect response. */
export function addToHeaders(headers: Headers, metadata: Metadata): void {
  for (const key of Object.keys(metadata.getMap())) {
    for (const value of metadata.get(key)) {
      headers.append(key, typeof value === "string" ? value : value.toString("base64"));
    }
  }
}

/** Turns gRPC metadata into headers. */
export function toHeaders(metadata: Metadata | undefined): Headers {
  const headers = new Headers();
  if (metadata !== undefined) addToHeaders(headers, metadata);
  return headers;
}
