/** `console`: lines of the worker's log. */
import { building, host, type Level } from "./host.ts";
import { show } from "./inspect.ts";

/** Spaces before each line, for `console.group`. */
let indent = "";
const counts = new Map<string, number>();
const timers = new Map<string, number>();

function write(level: Level, values: readonly unknown[]): void {
  // What a module prints while the component is built has nowhere to go.
  if (building()) return;
  const text = format(values);
  host().log(level, indent === "" ? text : text.replace(/^/gm, indent), []);
}

/** Values with spaces between them; `%s` and its like in the first one stand for the next ones. */
function format(values: readonly unknown[]): string {
  const [first, ...rest] = values;
  if (typeof first !== "string" || rest.length === 0 || !first.includes("%")) return values.map(show).join(" ");
  const text = first.replace(/%[sdifjoOc%]/g, (place) => {
    if (place === "%%") return "%";
    if (rest.length === 0) return place;
    const value = rest.shift();
    // A colour.
    if (place === "%c") return "";
    if (place === "%d" || place === "%f") return typeof value === "bigint" ? show(value) : number(value, Number);
    if (place === "%i") return number(value, (given) => Math.trunc(Number(given)));
    return show(value);
  });
  return [text, ...rest.map(show)].join(" ");
}

function number(value: unknown, convert: (value: unknown) => number): string {
  return typeof value === "object" || typeof value === "symbol" ? "NaN" : String(convert(value));
}

const at = (level: Level) => (...values: unknown[]) => write(level, values);

export const consoleLike = {
  log: at("info"),
  info: at("info"),
  debug: at("debug"),
  trace: at("trace"),
  warn: at("warn"),
  error: at("error"),
  dir: (value: unknown) => write("info", [value]),
  table: (value: unknown) => write("info", [value]),
  assert: (holds?: unknown, ...values: unknown[]) => {
    if (!holds) write("error", values.length > 0 ? ["Assertion failed:", ...values] : ["Assertion failed"]);
  },
  group: (...values: unknown[]) => {
    if (values.length > 0) write("info", values);
    indent += "  ";
  },
  groupCollapsed: (...values: unknown[]) => consoleLike.group(...values),
  groupEnd: () => {
    indent = indent.slice(2);
  },
  count: (label = "default") => {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    write("info", [`${label}: ${counts.get(label)}`]);
  },
  countReset: (label = "default") => void counts.delete(label),
  time: (label = "default") => void (building() || timers.set(label, host().now())),
  timeLog: (label = "default", ...values: unknown[]) => {
    const start = timers.get(label);
    if (start !== undefined) write("info", [`${label}: ${(host().now() - start).toFixed(3)} ms`, ...values]);
  },
  timeEnd: (label = "default") => {
    consoleLike.timeLog(label);
    timers.delete(label);
  },
};
