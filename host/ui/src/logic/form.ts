/** A form from a JSON Schema: for objects of simple fields. Everything else is written as JSON. */

export interface Schema {
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly format?: string;
}

export interface Field {
  readonly name: string;
  readonly title: string;
  readonly description: string | undefined;
  readonly kind: "text" | "long-text" | "number" | "integer" | "boolean" | "choice" | "json";
  readonly isRequired: boolean;
  readonly choices: readonly unknown[];
  readonly schema: Schema;
}

/** The fields of an object's schema, or `undefined` if the schema is of something else. */
export function fields(schema: unknown): Field[] | undefined {
  if (typeof schema !== "object" || schema === null) return undefined;
  const { type, properties, required = [] } = schema as Schema;
  if ((type !== undefined && type !== "object") || !properties) return undefined;
  const all = Object.entries(properties).map(([name, property]) => ({
    name,
    title: property.title ?? name,
    description: property.description,
    kind: kind(property),
    isRequired: required.includes(name),
    choices: property.enum ?? [],
    schema: property,
  }));
  // The gateway gives the members of an object in the order of their names. What is needed comes first.
  return all.toSorted((a, b) => Number(b.isRequired) - Number(a.isRequired));
}

function kind(schema: Schema): Field["kind"] {
  if (schema.enum) return "choice";
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  if (types.length !== 1) return "json";
  const [type] = types;
  if (type === "boolean" || type === "integer" || type === "number") return type;
  if (type === "string") return (schema.maxLength ?? 0) > 200 ? "long-text" : "text";
  return "json";
}

/** What the field shows at first. */
export function initial({ kind: type, schema }: Field): string {
  if (schema.default === undefined) return type === "boolean" ? "false" : "";
  return type === "json" || type === "choice" ? JSON.stringify(schema.default) : String(schema.default);
}

/** The JSON of the filled-in fields, or what is wrong, by the field's name. Numbers keep the digits that the user wrote. */
export function json(all: readonly Field[], texts: Readonly<Record<string, string>>): { json: string } | { errors: Record<string, string> } {
  const errors: Record<string, string> = {};
  const members: string[] = [];
  for (const field of all) {
    const text = texts[field.name] ?? "";
    if (text === "" && field.kind !== "boolean") {
      if (field.isRequired) errors[field.name] = "This is needed.";
      continue;
    }
    const value = valueOf(field, text);
    if (value.error === undefined) members.push(`${JSON.stringify(field.name)}:${value.json}`);
    else errors[field.name] = value.error;
  }
  return Object.keys(errors).length > 0 ? { errors } : { json: `{${members.join(",")}}` };
}

interface Value {
  readonly json: string;
  readonly error?: string;
}

function valueOf({ kind: type, schema }: Field, text: string): Value {
  const wrong = (error: string): Value => ({ json: "", error });
  switch (type) {
    case "boolean":
      return { json: text === "true" ? "true" : "false" };
    case "integer":
    case "number": {
      const digits = text.trim();
      if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(digits)) return wrong("This is no number.");
      if (type === "integer" && /[.eE]/.test(digits)) return wrong("This is no whole number.");
      if (schema.minimum !== undefined && Number(digits) < schema.minimum) return wrong(`At least ${schema.minimum}.`);
      if (schema.maximum !== undefined && Number(digits) > schema.maximum) return wrong(`At most ${schema.maximum}.`);
      return { json: digits };
    }
    case "text":
    case "long-text": {
      const length = [...text].length;
      if (schema.minLength !== undefined && length < schema.minLength) return wrong(`At least ${schema.minLength} characters.`);
      if (schema.maxLength !== undefined && length > schema.maxLength) return wrong(`At most ${schema.maxLength} characters.`);
      return { json: JSON.stringify(text) };
    }
    default:
      return isJson(text) ? { json: text } : wrong("This is no JSON.");
  }
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
