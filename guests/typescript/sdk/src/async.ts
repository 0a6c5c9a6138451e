/**
 * What the engine has with promises of its own, which never settle (promise.ts): the same on the SDK's promises.
 */

/** `Array.fromAsync`. */
async function fromAsync(
  this: unknown,
  items: AsyncIterable<unknown> | Iterable<unknown> | ArrayLike<unknown>,
  map?: (value: unknown, index: number) => unknown,
  thisArg?: unknown,
): Promise<unknown> {
  if (map !== undefined && typeof map !== "function") throw new TypeError("Array.fromAsync: the second argument is no function");
  const array: unknown[] = typeof this === "function" && this !== Array ? new (this as ArrayConstructor)() : [];
  const add = async (value: unknown) => {
    const index = array.length;
    array[index] = map ? await map.call(thisArg, value, index) : value;
  };
  if (Symbol.asyncIterator in Object(items) || Symbol.iterator in Object(items)) {
    // Values of a plain iterable that are promises are waited for, too.
    for await (const value of items as AsyncIterable<unknown>) await add(value);
  } else {
    const list = items as ArrayLike<unknown>;
    for (let i = 0; i < list.length; i++) await add(await list[i]);
  }
  return array;
}

type Dispose = () => unknown;

/** `AsyncDisposableStack`: what is to be disposed of, last one first. */
class AsyncStack {
  #todo: Dispose[] | undefined = [];

  get disposed(): boolean {
    return this.#todo === undefined;
  }

  /** Takes over a resource; gives it back. */
  use<T>(resource: T): T {
    if (resource === null || resource === undefined) return this.#add(async () => {}), resource;
    const source = resource as Record<symbol, unknown>;
    const dispose = source[Symbol.asyncDispose] ?? source[Symbol.dispose];
    if (typeof dispose !== "function") throw new TypeError("the resource can't be disposed of: it has no [Symbol.asyncDispose]");
    this.#add(() => dispose.call(resource));
    return resource;
  }

  /** Takes over a value with a function that disposes of it; gives the value back. */
  adopt<T>(value: T, dispose: (value: T) => unknown): T {
    if (typeof dispose !== "function") throw new TypeError("adopt: the second argument is no function");
    this.#add(() => dispose(value));
    return value;
  }

  defer(dispose: Dispose): void {
    if (typeof dispose !== "function") throw new TypeError("defer: the argument is no function");
    this.#add(dispose);
  }

  /** A new stack with all that this one has; this one has then been disposed of. */
  move(): AsyncStack {
    const moved = new AsyncStack();
    moved.#todo = this.#open();
    this.#todo = undefined;
    return moved;
  }

  async disposeAsync(): Promise<void> {
    const todo = this.#todo ?? [];
    this.#todo = undefined;
    let failed = false;
    let failure: unknown;
    for (const dispose of todo.reverse()) {
      try {
        await dispose();
      } catch (error) {
        failure = failed ? suppressed(error, failure) : error;
        failed = true;
      }
    }
    if (failed) throw failure;
  }

  #add(dispose: Dispose): void {
    this.#open().push(dispose);
  }

  #open(): Dispose[] {
    if (this.#todo === undefined) throw new ReferenceError("the AsyncDisposableStack has been disposed of");
    return this.#todo;
  }
}

function suppressed(error: unknown, earlier: unknown): unknown {
  const message = "an error was suppressed while resources were disposed of";
  if (typeof SuppressedError === "function") return new SuppressedError(error, earlier, message);
  return Object.assign(new Error(message), { error, suppressed: earlier });
}

export function installAsync(): void {
  const hidden = (value: unknown) => ({ value, writable: true, configurable: true });
  Object.defineProperty(Array, "fromAsync", hidden(fromAsync));
  if (Symbol.asyncDispose) {
    Object.defineProperty(AsyncStack.prototype, Symbol.asyncDispose, hidden(AsyncStack.prototype.disposeAsync));
  }
  Object.defineProperty(AsyncStack.prototype, Symbol.toStringTag, { value: "AsyncDisposableStack", configurable: true });
  Object.defineProperty(AsyncStack, "name", { value: "AsyncDisposableStack", configurable: true });
  Object.defineProperty(globalThis, "AsyncDisposableStack", hidden(AsyncStack));
}
