import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { explain } from "./explain.mjs";

/** The SDK's folder. */
export const SDK = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** The runtime's own modules, which exist only inside a component. */
export const HOST_MODULES = ["brrr:*", "wasi:*"];

/** The web's names that QuickJS lacks: where a bundle uses one freely, esbuild imports it from src/web/globals.ts. */
const WEB = [
  "fetch", "Headers", "Request", "Response", "AbortController", "AbortSignal", "Event", "CustomEvent", "EventTarget",
  "URL", "URLSearchParams", "structuredClone",
];

/**
 * One JavaScript module of the SDK, the handlers in `entry` and all they import: its source, and the host's modules that
 * it imports.
 *
 * `overrides` are esbuild options on top, for the tests, which run the very same bundle outside a component. `folder` is that
 * of the language's SDK, which the component names as what it was made with.
 */
export async function bundle(entry, overrides = {}, folder = SDK) {
  const result = await build({
    stdin: {
      // In this order: the globals before anything that may use them, the handlers before the exports that list them.
      contents: ["globals", entry, "component"]
        .map((name) => (name === entry ? entry : resolve(SDK, "src", `${name}.ts`)))
        .map((path, i) => (i < 2 ? "import " : "export * from ") + JSON.stringify(path))
        .join("\n"),
      resolveDir: dirname(entry),
    },
    bundle: true,
    write: false,
    outfile: "bundle.js",
    format: "esm",
    target: "es2023",
    // QuickJS runs no promise jobs inside a synchronous export: see src/promise.ts.
    supported: { "async-await": false, "async-generator": false, "for-await": false, "top-level-await": false },
    // Of what a package offers (`browser` and `exports` in its package.json) the browser's variant is the one that expects
    // no Node.
    platform: "browser",
    inject: [resolve(SDK, "src/web/globals.ts")],
    define: {
      ...Object.fromEntries(WEB.map((name) => [`globalThis.${name}`, name])),
      "process.env": "__processEnv",
      __brrrSdk: JSON.stringify(sdkOf(folder)),
      // As every bundler does; libraries look at it while they load.
      "process.env.NODE_ENV": '"production"',
      // Node's name of it.
      global: "globalThis",
    },
    alias: { brrr: resolve(SDK, "src/index.ts") },
    external: HOST_MODULES,
    keepNames: true,
    sourcemap: "external",
    sourcesContent: false,
    metafile: true,
    logLevel: "silent",
    ...overrides,
  }).catch(async (failure) => {
    if (failure.errors) console.error(await explain("error", failure.errors));
    throw failure.errors ? new Error(`${entry} could not be bundled (see above)`) : failure;
  });
  if (result.warnings.length > 0) console.error(await explain("warning", result.warnings));
  const file = (suffix) => result.outputFiles.find(({ path }) => path.endsWith(suffix)).text;
  const code = withOwners(file(".js"));
  const origins = lineOrigins(code, JSON.parse(file(".map")));
  const imports = Object.values(result.metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  const source = `${code}\nvar __brrrLines = ${JSON.stringify(lineTable(origins, dirname(entry)))};\n`;
  // Of a line of the bundle: the file and line that it came from, also of a package, but not of the SDK.
  const locate = (line) => {
    const origin = origins[line - 1];
    return origin && !origin.path.startsWith(resolve(SDK, "src")) && `${relative(dirname(entry), origin.path)}:${origin.line}`;
  };
  return { source, imports, locate };
}

/** Name and version of the SDK in `folder`, which is `guests/<language>/sdk`. */
function sdkOf(folder) {
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return { name: basename(dirname(folder)), version };
}

/**
 * `code`, in which the promise of an async function and its `await`s are marked as such (src/promise.ts). So the SDK knows
 * which calls are waited for by functions for which nobody waits any more.
 */
function withOwners(code) {
  const helper = /(var __async = \([^]*?new Promise\(\(\w+, \w+\) => \{[^]*?\.then\(\w+, \w+)(\);[^]*?\n *\})(\);\n *\};\n)/;
  if (!helper.test(code)) throw new Error("the bundler's form of async functions is not the known one: is it the version in package-lock.json?");
  return code.replace(helper, "$1, true$2, true$3");
}

/** For each line of the bundle the file and the line that it came from; undefined where it is the bundler's own. */
function lineOrigins(code, map) {
  const lookup = new SourceMap(map);
  return code.split("\n").map((line, number) => {
    const { originalSource, originalLine } = lookup.findEntry(number, line.length - line.trimStart().length);
    if (originalSource === undefined || originalLine === undefined) return undefined;
    const path = resolve(originalSource);
    return basename(path) === "<stdin>" ? undefined : { path, line: originalLine + 1 };
  });
}

/**
 * For each line of the bundle the user's line that it came from, so that an error names that one: see src/trace.ts.
 * Lines of the SDK and of installed packages are 0.
 */
function lineTable(origins, folder) {
  const sources = [];
  const lines = origins.map((origin) => {
    if (!origin || origin.path.startsWith(resolve(SDK, "src")) || origin.path.includes("node_modules")) return 0;
    const name = relative(folder, origin.path);
    if (!sources.includes(name)) sources.push(name);
    return [sources.indexOf(name), origin.line];
  });
  return [sources, lines];
}
