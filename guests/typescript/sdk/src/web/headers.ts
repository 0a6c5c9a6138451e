/** The web's `Headers`. */
export type HeadersInit = Headers | Iterable<readonly [string, string]> | Readonly<Record<string, string>>;

/** RFC 9110's token. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/i;
const VALUE = /^[^\0\r\n]*$/;

/** Names in lower case; a name's values in the order they were added. */
export class Headers {
  readonly #values = new Map<string, string[]>();

  constructor(init: HeadersInit = []) {
    const entries = Symbol.iterator in init ? (init as Iterable<readonly [string, string]>) : Object.entries(init);
    for (const [name, value] of entries) this.append(name, value);
  }

  append(name: string, value: string): void {
    this.#values.set(key(name), [...(this.#values.get(key(name)) ?? []), checked(value, name)]);
  }

  set(name: string, value: string): void {
    this.#values.set(key(name), [checked(value, name)]);
  }

  delete(name: string): void {
    this.#values.delete(key(name));
  }

  has(name: string): boolean {
    return this.#values.has(key(name));
  }

  /** All values of that name, joined by commas. */
  get(name: string): string | null {
    return this.#values.get(key(name))?.join(", ") ?? null;
  }

  getSetCookie(): string[] {
    return [...(this.#values.get("set-cookie") ?? [])];
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this) callback(value, name, this);
  }

  /** By name; each cookie that is set is an entry of its own, as a comma may be part of it. */
  *entries(): IterableIterator<[string, string]> {
    for (const name of [...this.#values.keys()].sort()) {
      const values = this.#values.get(name)!;
      if (name === "set-cookie") for (const value of values) yield [name, value];
      else yield [name, values.join(", ")];
    }
  }

  *keys(): IterableIterator<string> {
    for (const [name] of this) yield name;
  }

  *values(): IterableIterator<string> {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }
}

function key(name: string): string {
  if (!NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name of a header`);
  return String(name).toLowerCase();
}

function checked(value: string, name: string): string {
  const text = String(value).replace(/^[\t ]+|[\t ]+$/g, "");
  // Without the value, which may be a secret.
  if (!VALUE.test(text)) throw new TypeError(`the value of the header ${name} has a line break or a NUL in it`);
  return text;
}
