/**
 * The bundler's messages for the authors of handlers. Its own hints are about its options, which nobody can set here: what
 * helps in a component stands in their place.
 */
import { formatMessages } from "esbuild";
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";

/** What a message means here. The first one that fits counts; its text stands in place of the bundler's hints. */
const MEANINGS = [
  [
    /^Could not resolve "(.*)"/,
    (name, notes) => {
      if (notes.some(({ text }) => text.includes("is not exported by package"))) {
        return `The package ${packageOf(name)} offers no ${name}. Import what its documentation names.`;
      }
      if (isNodes(name)) return `${name} is a module of Node, which a component does not have. ${instead(name)}`;
      if (/^[./]/.test(name)) return "There is no such file.";
      return `No package of that name is installed: npm install ${packageOf(name)}`;
    },
  ],
  [
    /^Top-level await /,
    () => "A component can't wait while it loads: move the await into a handler, or into a function that handlers call.",
  ],
  [
    /^No loader is configured for "\.node" files/,
    () => "It is a native addon of Node, which can't be a part of a component. Use a package that is written in JavaScript.",
  ],
  [
    /^No loader is configured for "(.*)" files/,
    (ending) => `A file that ends in ${ending} can't be imported. Put what it holds into a module, a JSON file or a text file (.txt).`,
  ],
  [
    /^Transforming .* to the configured target environment/,
    () => "The component's engine does not know that part of the language.",
  ],
];

/** What a message says of the bundler's options. */
const OPTIONS = / (?:is not available|is not supported yet)? ?(?:in|to) the configured target environment.*/;

/** What stands for a module of Node. */
const INSTEAD = [
  [/^fs\b/, 'Files are read and written by readFile, readTextFile, writeFile and readDir of "brrr".'],
  [/^(?:https?|http2|net|tls|dgram|dns)\b/, "Requests are sent by fetch."],
  [/^crypto$/, "Random values are drawn by crypto.getRandomValues and crypto.randomUUID, without an import."],
  [/^(?:buffer|string_decoder)$/, "Bytes are in a Uint8Array; TextEncoder and TextDecoder turn text into bytes and back."],
  [/^timers\b/, "setTimeout and its like are there without an import."],
  [/^process$/, "Environment variables are in process.env, without an import."],
  [/^url$/, "URL and URLSearchParams are there without an import."],
];

/** Messages as text for a terminal. */
export async function explain(kind, messages) {
  const plain = byPackage(messages).map(({ text, location, notes }) => {
    for (const [pattern, meaning] of MEANINGS) {
      const found = pattern.exec(text);
      if (found) return { text: text.replace(OPTIONS, ""), location, notes: [{ text: meaning(found[1], notes), location: null }] };
    }
    return { text, location, notes: notes.filter((note) => !isHint(note.text)) };
  });
  return (await formatMessages(plain, { kind, color: process.stderr.isTTY ?? false })).join("").trimEnd();
}

/** An installed package that needs Node is one message, with all that it needs, in place of one for each import. */
function byPackage(messages) {
  const packages = new Map();
  const others = messages.filter((message) => {
    const [, name] = /^Could not resolve "(.*)"/.exec(message.text) ?? [];
    const owner = /.*\bnode_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(message.location?.file ?? "")?.[1];
    if (name === undefined || owner === undefined || !isNodes(name)) return true;
    const found = packages.get(owner) ?? { location: message.location, names: new Set() };
    packages.set(owner, { ...found, names: found.names.add(name) });
    return false;
  });
  const needy = Array.from(packages, ([owner, { location, names }]) => {
    const text =
      "A component does not have Node's modules. Use a package that is made for browsers, too, " +
      `or another part of ${owner} if it has one for them.`;
    return { text: `The package ${owner} needs Node: ${[...names].join(", ")}`, location, notes: [{ text, location: null }] };
  });
  return [...others, ...needy];
}

/** Is it about the bundler's options? */
function isHint(text) {
  return /\bplatform\b|\bexternal\b|esbuild|--\w|\bplugins?\b|\bloaders?\b|configured target|tsconfig/i.test(text);
}

function isNodes(name) {
  return name.startsWith("node:") || builtinModules.includes(name) || builtinModules.includes(name.split("/")[0]);
}

function instead(name) {
  const bare = name.replace(/^node:/, "");
  const found = INSTEAD.find(([pattern]) => pattern.test(bare));
  return found ? found[1] : "Use a package that is made for browsers.";
}

/** The package of an import: `@scope/name/part` is of `@scope/name`. */
function packageOf(name) {
  return name.split("/").slice(0, name.startsWith("@") ? 2 : 1).join("/");
}

/** What to do about names that Node and browsers have, and a component has not. */
const MISSING = JSON.parse(readFileSync(new URL("../src/missing.json", import.meta.url), "utf8"));

/**
 * What to say when the module fails while it loads, which it does while the component is built. `message` is the
 * engine's; `locate` gives the source of a line of the bundle.
 */
export function loadFailure(name, message, locate) {
  const [, error, stack] = /module evaluation: ([^\n]*)((?:\n[^]*)?)$/.exec(message) ?? [];
  if (error === undefined) return `${name} fails while it loads: ${trapped(message)}`;
  // The engine's words for what is thrown and is no Error.
  if (/^Exception generated by/.test(error)) return `${name} fails while it loads: it throws what is no Error`;
  const places = [...stack.matchAll(/user\.js:(\d+)/g)].flatMap(([, line]) => locate(Number(line)) || []);
  const [, missing = ""] = /'?(\w+)'? is not defined/.exec(error) ?? [];
  const hint = Object.hasOwn(MISSING, missing) ? [`(${MISSING[missing]})`] : [];
  return [`${name} fails while it loads: ${error}`, ...places.slice(0, 6).map((place) => `  at ${place}`), ...hint].join("\n");
}

/** Why the engine stopped: the end of a list of its own functions, which say nothing to anybody. */
function trapped(message) {
  if (/call stack exhausted/.test(message)) return "its stack overflowed: does it recurse without end?";
  if (!message.includes("wasm backtrace")) return message.replace(/^[: ]+/, "");
  return message.trim().split("\n").at(-1).replace(/^.*?>: /, "");
}
