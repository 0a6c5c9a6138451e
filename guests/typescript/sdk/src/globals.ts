/**
 * Installs the globals of ambient.d.ts. Imported before anything else, so that also a handler's dependencies see them
 * while they are being loaded.
 */
import { consoleLike } from "./console.ts";
import { building, host, requireRun } from "./host.ts";
import { installAsync } from "./async.ts";
import { installPromise } from "./combine.ts";
import { installLocale } from "./locale.ts";
import { addTimer, removeTimer } from "./scheduler.ts";
import { asBytes, Decoder, Utf8Encoder } from "./text.ts";

installPromise();
installAsync();
installLocale();

const cryptoLike = {
  getRandomValues<T extends ArrayBufferView>(array: T): T {
    requireRun("crypto");
    asBytes(array).set(host().randomBytes(array.byteLength));
    return array;
  },
  randomUUID(): string {
    requireRun("crypto");
    const bytes = host().randomBytes(16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40; // version 4
    bytes[8] = (bytes[8]! & 0x3f) | 0x80; // RFC 9562's variant
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  },
};

/** QuickJS seeds Math.random when the component is built: every call would see the same numbers. */
const builtInRandom = Math.random;
Math.random = () => {
  // Libraries draw numbers while they load; there is no host to ask then.
  if (building()) return builtInRandom();
  const [a, b] = new Uint32Array(host().randomBytes(8).slice().buffer);
  return ((a! >>> 5) * 2 ** 26 + (b! >>> 6)) / 2 ** 53;
};

Object.assign(globalThis, {
  console: consoleLike,
  setTimeout: <A extends unknown[]>(callback: (...args: A) => void, ms = 0, ...args: A) =>
    addTimer(() => callback(...args), ms, { settle: callback }),
  clearTimeout: removeTimer,
  setInterval: <A extends unknown[]>(callback: (...args: A) => void, ms = 0, ...args: A) =>
    addTimer(() => callback(...args), ms, { again: true }),
  clearInterval: removeTimer,
  setImmediate: <A extends unknown[]>(callback: (...args: A) => void, ...args: A) => addTimer(() => callback(...args), 0),
  clearImmediate: removeTimer,
  TextEncoder: Utf8Encoder,
  TextDecoder: Decoder,
  crypto: cryptoLike,
  // QuickJS's own would do, but setTimeout must agree with it.
  // Libraries ask for it while they load.
  performance: { now: () => (building() ? 0 : host().now()) },
});
