/**
 * The engine has no Intl. Where a locale or a time zone is given it would ignore it, and give another text, another time
 * or another order than was asked for: here that is an error.
 */

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** Languages in which a letter's other case is another one than elsewhere. */
const CASES = /^(?:tr|az|lt|el)\b/i;

const TO_DO: Record<string, string> = {
  Date: "write it in UTC (toISOString), or use a library that brings its own time zones, as moment-timezone does",
  Number: "use toFixed, or a library that brings its own rules",
  String: "compare without a locale, or with < and >",
};

/** `name` of `type` throws if any of the arguments from `first` on is given and is not one that changes nothing. */
function guard(
  type: { readonly name: string; readonly prototype: object },
  name: string,
  first: number,
  harmless: (given: unknown) => boolean = () => false,
): void {
  const method = (type.prototype as Record<string, Method | undefined>)[name];
  if (method === undefined) return;
  const guarded: Method = function (...args) {
    if (args.slice(first).some((given) => given !== undefined && !harmless(given))) {
      const todo = TO_DO[type.name] ?? TO_DO.Number;
      throw new RangeError(`${type.name}.${name}: a component has no Intl, so locale and options can't be heeded: ${todo}`);
    }
    return method.apply(this, args);
  };
  Object.defineProperty(guarded, "name", { value: name, configurable: true });
  Object.defineProperty(type.prototype, name, { value: guarded, writable: true, configurable: true });
}

/** Makes the language's functions that take a locale say that there are none. */
export function installLocale(): void {
  // An engine that has it needs no help; Node, in tests, is one.
  if (typeof Intl !== "undefined") return;
  for (const name of ["toLocaleString", "toLocaleDateString", "toLocaleTimeString"]) guard(Date, name, 0);
  for (const type of [Number, BigInt, Array, Object.getPrototypeOf(Uint8Array) as typeof Array]) guard(type, "toLocaleString", 0);
  guard(String, "localeCompare", 1);
  const plainCase = (locale: unknown) => typeof locale === "string" && !CASES.test(locale);
  for (const name of ["toLocaleUpperCase", "toLocaleLowerCase"]) guard(String, name, 0, plainCase);
}
