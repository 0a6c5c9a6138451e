/** What the build makes of packages, and what it says when it can't. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { after, mock } from "node:test";
import { bundle } from "../bin/bundle.mjs";
import { loadFailure } from "../bin/explain.mjs";

const folder = mkdtempSync(join(tmpdir(), "brrr-bundle-"));
after(() => rmSync(folder, { recursive: true }));

function write(path, text) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), typeof text === "string" ? text : JSON.stringify(text));
}

function install(name, manifest, files) {
  write(`node_modules/${name}/package.json`, { name, version: "1.0.0", ...manifest });
  for (const [file, text] of Object.entries(files)) write(`node_modules/${name}/${file}`, text);
}

const forNode = 'require("node:fs"); module.exports = "of Node"';
install("by-field", { main: "main.js", browser: "web.js" }, { "main.js": forNode, "web.js": 'module.exports = "field of the web"' });
install("by-file", { main: "main.js", browser: { "./io.js": "./io-web.js", fs: false } }, {
  "main.js": 'require("fs"); module.exports = require("./io.js")',
  "io.js": forNode,
  "io-web.js": 'module.exports = "file of the web"',
});
install("by-condition", { exports: { ".": { browser: "./web.mjs", node: "./main.js", default: "./main.js" } } }, {
  "main.js": forNode,
  "web.mjs": 'export default "condition of the web"',
});
install("@of/node", { main: "main.js" }, { "main.js": 'require("crypto"); require("node:net"); require("crypto")' });
install("closed", { exports: { ".": "./main.js" } }, { "main.js": "" });

async function build(text) {
  write("app.js", text);
  return bundle(join(folder, "app.js"));
}

/** What a build that fails says. */
async function complaint(text) {
  const said = mock.method(console, "error", () => {});
  try {
    await assert.rejects(build(text), /app\.js could not be bundled/);
    return said.mock.calls.map(({ arguments: [line] }) => line).join("\n");
  } finally {
    said.mock.restore();
  }
}

for (const [name, expected] of [["by-field", "field of the web"], ["by-file", "file of the web"], ["by-condition", "condition of the web"]]) {
  test(`a package's variant for browsers is taken: ${name}`, async () => {
    const { source } = await build(`import text from "${name}"; console.log(text);`);
    assert.ok(source.includes(expected));
    assert.ok(!source.includes("of Node"));
  });
}

test("errors say what to do in a component, and nothing of the bundler's options", async () => {
  const said = await complaint(
    `import "@of/node"; import "none"; import "@none/at/all"; import "./none.js"; import "closed/inside"; import "node:fs"; import "./a.node"; await 1;`,
  );
  for (const words of [
    "The package @of/node needs Node: crypto, node:net",
    "npm install none\n",
    "npm install @none/at\n",
    "There is no such file.",
    "The package closed offers no closed/inside.",
    "node:fs is a module of Node, which a component does not have. Files are read and written by readFile",
    "A component can't wait while it loads",
  ]) {
    assert.ok(said.includes(words), `${words}\nin\n${said}`);
  }
  assert.doesNotMatch(said, /platform|external|esbuild|configured target|main.?field/i);
});

test("a file of a kind that can't be bundled", async () => {
  write("a.node", "");
  write("a.png", "");
  const said = await complaint('import "./a.node"; import "./a.png";');
  assert.match(said, /native addon of Node/);
  assert.match(said, /A file that ends in \.png can't be imported/);
  assert.doesNotMatch(said.replaceAll("No loader is configured", ""), /loader|esbuild/i);
});

test("a module that fails while it loads is shown with the place in its source", async () => {
  const { locate } = await build('import "by-field";\n\nfunction setup() {\n  throw new Error("no settings");\n}\nsetup();');
  const line = Array.from({ length: 5000 }, (_, i) => i + 1).find((line) => locate(line) === "app.js:4");
  const message = `: Failed to evaluate user JavaScript module: Failed to finish JavaScript module evaluation: Error: Buffer is not defined\n    at setup (componentize-qjs:user.js:${line}:9)\n`;
  const lines = loadFailure("app.js", message, locate).split("\n");
  assert.deepEqual(lines.slice(0, 2), ["app.js fails while it loads: Error: Buffer is not defined", "  at app.js:4"]);
  assert.match(lines[2], /a component has no Node: use Uint8Array/);
});
