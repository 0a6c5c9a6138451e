/** Lines of the worker's log with fields. */
import { host, type Level } from "./host.ts";
import { show } from "./inspect.ts";

/** Names and values; a value that is no text is shown as JSON. */
export type Fields = Readonly<Record<string, unknown>>;

const at = (level: Level) => (message: string, fields: Fields = {}): void =>
  host().log(level, show(message), Object.entries(fields).map(([name, value]) => [name, show(value)]));

/** Logs a message with its fields: `log.info("paid", { account, cents })`. Without fields, `console` does the same. */
export const log = {
  trace: at("trace"),
  debug: at("debug"),
  info: at("info"),
  warn: at("warn"),
  error: at("error"),
};
