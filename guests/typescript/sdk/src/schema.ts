/**
 * What arguments and results look like: a JSON Schema, which is shown to people and programs, or a validator of a library
 * such as zod or valibot, which also checks. Those have a common interface: standardschema.dev.
 */
import { Permanent } from "./errors.ts";
import { attempt } from "./inspect.ts";

/** A JSON Schema (2020-12). */
export type JsonSchema = { readonly [keyword: string]: unknown } & { readonly "~standard"?: never };

/** A validator of any library that follows the Standard Schema. */
export interface Validator<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validated<Output> | PromiseLike<Validated<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    /** The schemas of what goes in and of what comes out, where the library can make them. */
    readonly jsonSchema?: {
      readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
      readonly output: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
    };
  };
}

type Validated<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] };

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a validator takes, and what it gives. */
export type InputOf<V> = V extends Validator<infer Input, any> ? Input : never;
export type OutputOf<V> = V extends Validator<any, infer Output> ? Output : never;

export function isValidator(schema: unknown): schema is Validator {
  // Some libraries' schemas are functions.
  if ((typeof schema !== "object" && typeof schema !== "function") || schema === null) return false;
  return typeof (schema as Partial<Validator>)["~standard"]?.validate === "function";
}

/** Throws a TypeError for what is neither a JSON Schema nor a validator. */
export function checkSchema(what: string, schema: unknown): void {
  if (schema === undefined || isValidator(schema) || (typeof schema === "object" && schema !== null && !Array.isArray(schema))) return;
  throw new TypeError(`${what} is a JSON Schema (an object) or a validator that follows the Standard Schema, as zod's and valibot's do`);
}

/** The text of a JSON Schema. Undefined where the validator's library can't tell. */
export function schemaText(schema: JsonSchema | Validator | undefined, side: "input" | "output"): string | undefined {
  if (schema === undefined) return undefined;
  if (!isValidator(schema)) return JSON.stringify(schema);
  const { jsonSchema } = schema["~standard"];
  // A library throws for what JSON Schema can't express.
  return attempt(() => JSON.stringify(jsonSchema?.[side]({ target: "draft-2020-12" })), undefined);
}

/** What the validator makes of `value`. Rejects with a Permanent that names each thing that is wrong, and its place. */
export async function validated(what: string, validator: Validator, value: unknown): Promise<unknown> {
  const result = await validator["~standard"].validate(value);
  if (!result.issues) return (result as { value: unknown }).value;
  const lines = result.issues.map(({ message, path = [] }) => {
    const keys = path.map((part) => (typeof part === "object" ? part.key : part));
    return keys.length === 0 ? message : `${keys.map(String).join(".")}: ${message}`;
  });
  throw new Permanent(`${what}: ${lines.join("; ")}`);
}
