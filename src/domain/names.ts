/** The namespace of requests that name none. */
export const defaultNamespace = "default";

export function namespaceOf(namespace: string): string {
  return namespace === "" ? defaultNamespace : namespace;
}
