/** Assertions that run everywhere, also in a browser. */

/** JSON that tells apart what JSON.stringify would not. */
export function show(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === "bigint") return `${part}n`;
    if (part instanceof Uint8Array) return { bytes: [...part] };
    return part === undefined ? "undefined" : part;
  });
  return text ?? String(value);
}

export function ok(value: unknown, what: string): asserts value {
  if (!value) throw new Error(what);
}

export function equal<Value>(actual: Value, expected: Value, what = "the value"): void {
  if (show(actual) !== show(expected)) throw new Error(`${what} is ${show(actual)}, not ${show(expected)}`);
}

/** The very same object. */
export function same(actual: unknown, expected: unknown, what = "the value"): void {
  if (actual !== expected) throw new Error(`${what} is ${String(actual)}, not ${String(expected)}`);
}

type Class<Value> = abstract new (...args: any[]) => Value;

/** The error with which it rejects, which is of this class. */
export async function rejects<Failure>(coming: Promise<unknown>, kind: Class<Failure>): Promise<Failure> {
  let value: unknown;
  try {
    value = await coming;
  } catch (error) {
    if (error instanceof kind) return error;
    throw new Error(`it rejects with ${String(error)}, not with a ${kind.name}`, { cause: error });
  }
  throw new Error(`it gives ${show(value)}, and does not reject with a ${kind.name}`);
}

export async function all<Value>(items: AsyncIterable<Value>): Promise<Value[]> {
  const list: Value[] = [];
  for await (const item of items) list.push(item);
  return list;
}
