/** What this gateway can do, as its OpenAPI document says. A view hides what its gateway does not have. */
import { signal } from "@preact/signals";
import { get } from "./http.ts";

interface Operation {
  readonly operationId?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
}
interface Document {
  readonly paths: Record<string, Record<string, Operation>>;
}

const openapi = signal<Document | undefined>(undefined);

export async function readFeatures(): Promise<void> {
  openapi.value = await get<Document>("/v1/openapi.json");
}

function operation(method: string, path: string): Operation | undefined {
  // Names of parameters don't matter.
  const shape = (text: string): string => text.replaceAll(/\{[^}]*\}/g, "{}");
  const found = Object.entries(openapi.value?.paths ?? {}).find(([other]) => shape(other) === shape(path));
  return found?.[1][method];
}

/** Has the gateway this operation? */
export const can = (method: string, path: string): boolean => operation(method, path) !== undefined;

/** Has the operation this parameter in its query? */
export function takes(method: string, path: string, name: string): boolean {
  return operation(method, path)?.parameters?.some((parameter) => parameter.name === name && parameter.in === "query") ?? false;
}
