/** An error with one of the web's names: a DOMException, where the engine has that. */
declare const DOMException: (new (message: string, name: string) => Error) | undefined;

export function exception(name: string, message: string): Error {
  return typeof DOMException === "function" ? new DOMException(message, name) : Object.assign(new Error(message), { name });
}
