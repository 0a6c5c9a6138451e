/** Environment variables that the worker gives its handlers (`run --env KEY`). */
import environment from "wasi:cli/environment@0.2.12";
import { building, requireRun } from "../host.ts";

let variables: Map<string, string> | undefined;

/** Read once a run. While the component is being built there are none. */
function all(): Map<string, string> {
  if (building()) return new Map();
  return (variables ??= new Map(environment.getEnvironment()));
}

/** `process.env`: a variable that is not there is undefined. */
export const processEnv: Readonly<Record<string, string | undefined>> = new Proxy(Object.create(null), {
  get: (_, name) => all().get(String(name)),
  has: (_, name) => all().has(String(name)),
  ownKeys: () => [...all().keys()],
  getOwnPropertyDescriptor: (_, name) => {
    const value = all().get(String(name));
    return value === undefined ? undefined : { value, enumerable: true, configurable: true, writable: false };
  },
  set: (_, name) => {
    throw new TypeError(`process.env.${String(name)} can't be set: the environment is the worker's`);
  },
});

/** A variable that must be there. Throws an Error that names it, and the flag that gives it. */
export function env(name: string): string {
  requireRun(`env("${name}")`);
  const value = all().get(name);
  if (value === undefined) throw new Error(`the variable ${name} is not allowed: --env ${name}`);
  return value;
}
