/** Server-sent events from a stream of bytes, as the HTML standard says ("event stream interpretation"). */

export interface ServerSentEvent {
  /** The last id that the stream gave; `""` before the first. */
  readonly id: string;
  /** `message` unless the stream names it. */
  readonly type: string;
  readonly data: string;
}

/** Takes bytes as they come, cut anywhere, and gives the events that are complete. */
export class EventParser {
  readonly #decoder = new TextDecoder();
  /** The begin of a line whose end has not come. */
  #rest = "";
  #data: string[] = [];
  #type = "";
  #id = "";
  /** The pause before a new connection that the stream asks for, in milliseconds. */
  retryMs: number | undefined;

  push(bytes: Uint8Array): ServerSentEvent[] {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    // A CR at the end may be half of a CRLF.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line) ?? []);
  }

  #line(line: string): ServerSentEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    return undefined;
  }

  #dispatch(): ServerSentEvent | undefined {
    const event = { id: this.#id, type: this.#type || "message", data: this.#data.join("\n") };
    const empty = this.#data.length === 0;
    this.#data = [];
    this.#type = "";
    return empty ? undefined : event;
  }
}
