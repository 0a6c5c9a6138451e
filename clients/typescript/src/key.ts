/** A random text of 32 or more characters: an idempotency key. */
export function randomKey(): string {
  // Pages that came over plain HTTP have no randomUUID, but have getRandomValues.
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Throws a TypeError unless the key is one that the gateway takes. */
export function checkKey(key: string): string {
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new TypeError("an idempotency key is 1 to 255 visible ASCII characters, without spaces");
  }
  return key;
}
