/** The imports that the component's runtime provides: wit/guest.wit as JavaScript sees it. */
declare module "brrr:worker/tasks@0.1.0" {
  const tasks: { poll: import("./host.ts").Host["poll"] };
  export default tasks;
}
declare module "brrr:worker/log@0.1.0" {
  const log: { write(level: import("./host.ts").Level, message: string): void };
  export default log;
}
declare module "brrr:worker/control@0.1.0" {
  const control: { timeLeftMs(): number | bigint };
  export default control;
}
declare module "wasi:clocks/monotonic-clock@0.2.12" {
  const clock: { now(): number; subscribeDuration(nanoseconds: number): { block(): void } };
  export default clock;
}
declare module "wasi:random/random@0.2.12" {
  const random: { getRandomBytes(length: number): Uint8Array };
  export default random;
}
