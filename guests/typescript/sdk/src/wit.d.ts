/** The imports that the component's runtime provides: wit/guest.wit as JavaScript sees it. */
declare module "brrr:worker/tasks@0.2.0" {
  const tasks: { poll: import("./host.ts").Host["poll"] };
  export default tasks;
}
declare module "brrr:worker/log@0.2.0" {
  const log: { write(level: import("./host.ts").Level, message: string, fields: import("./options.ts").Pair[]): void };
  export default log;
}
declare module "brrr:worker/control@0.2.0" {
  const control: { timeLeftMs(): number | bigint };
  export default control;
}
declare module "wasi:clocks/monotonic-clock@0.2.12" {
  const clock: { now(): number | bigint; subscribeDuration(nanoseconds: number): import("./host.ts").Pollable };
  export default clock;
}
declare module "wasi:clocks/wall-clock@0.2.12" {
  const clock: { now(): { seconds: number | bigint; nanoseconds: number } };
  export default clock;
}
declare module "wasi:random/random@0.2.12" {
  const random: { getRandomBytes(length: number): Uint8Array };
  export default random;
}
declare module "wasi:io/poll@0.2.12" {
  const io: { poll(pollables: import("./host.ts").Pollable[]): ArrayLike<number> };
  export default io;
}
declare module "wasi:http/types@0.2.12" {
  const types: import("./web/wasi.ts").Types;
  export default types;
}
declare module "wasi:http/outgoing-handler@0.2.12" {
  const handler: import("./web/wasi.ts").OutgoingHandler;
  export default handler;
}
declare module "wasi:cli/environment@0.2.12" {
  const environment: { getEnvironment(): [name: string, value: string][] };
  export default environment;
}
declare module "wasi:filesystem/preopens@0.2.12" {
  const preopens: { getDirectories(): [folder: import("./web/wasi.ts").Descriptor, path: string][] };
  export default preopens;
}
