/// <reference path="./ambient.d.ts" />
/**
 * brrr for TypeScript: define task handlers, build them with `brrr-build app.ts -o app.wasm`.
 *
 * Everything a handler needs is exported here. `component.ts` is the other entry: the exports that the host calls.
 */
export { App } from "./app.ts";
export type { Duration } from "./duration.ts";
export { CallFailed, Permanent, Retryable, type ErrorDetails } from "./errors.ts";
export { handler, handlerRaw, taskFn, type TaskFn } from "./handler.ts";
export type { Failure, FailureKind, Request } from "./host.ts";
export { log, type Fields } from "./log.ts";
export type { CallOptions, Options, RunOptions, SpawnOptions } from "./options.ts";
export type { JsonSchema, Validator } from "./schema.ts";
export { env } from "./web/environment.ts";
export { readDir, readFile, readTextFile, writeFile } from "./web/files.ts";
