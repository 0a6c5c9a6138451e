/** The web's names that a bundle gets: what of it needs no host. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { bundle } from "../bin/bundle.mjs";

const source = (name) => JSON.stringify(fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url)));
const { outputFiles } = await build({
  stdin: {
    contents: ["web/redirect", "web/headers", "web/request", "web/response", "web/failure", "web/url", "bytes"]
      .map((name) => `export * from ${source(name)};`)
      .join("\n"),
    resolveDir: fileURLToPath(new URL(".", import.meta.url)),
  },
  bundle: true,
  write: false,
  format: "esm",
  platform: "browser",
});
const web = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

const hop = (url, method = "GET", headers = {}, body = null) => ({
  url: new web.URL(url),
  method,
  headers: new web.Headers(headers),
  body,
});

function next(from, status, location) {
  const found = web.nextHop(from, status, location);
  return found && [found.url.href, found.method, Object.fromEntries(found.headers), found.body];
}

test("where a redirect leads", () => {
  const at = "http://a.example/x/y?q#f";
  for (const [location, url] of [
    ["/z", "http://a.example/z#f"],
    ["z?r#g", "http://a.example/x/z?r#g"],
    ["//b.example", "http://b.example/#f"],
    ["https://a.example:8443/", "https://a.example:8443/#f"],
  ]) {
    assert.equal(next(hop(at), 302, location)[0], url);
  }
  for (const status of [200, 300, 304, 404]) assert.equal(next(hop(at), status, "/z"), null);
  assert.equal(next(hop(at), 301, null), null);
  for (const location of ["file:///etc/passwd", "http://", "http://u:p@b.example/"]) {
    assert.throws(() => next(hop(at), 302, location), TypeError);
  }
});

test("what a redirect makes of method and body", () => {
  const body = new Uint8Array(1);
  const after = (method, status) => {
    const [, kept, headers, sent] = next(hop("http://a.example", method, { "content-type": "t", "x-own": "1" }, body), status, "/");
    return [kept, "content-type" in headers, sent === body, headers["x-own"]];
  };
  for (const status of [301, 302, 303]) assert.deepEqual(after("POST", status), ["GET", false, false, "1"]);
  assert.deepEqual(after("PUT", 303), ["GET", false, false, "1"]);
  for (const [method, status] of [["PUT", 302], ["POST", 307], ["POST", 308]]) {
    assert.deepEqual(after(method, status), [method, true, true, "1"]);
  }
  assert.equal(next(hop("http://a.example", "HEAD"), 303, "/")[1], "HEAD");
});

test("another origin is not told what was meant for the first", () => {
  const secrets = { authorization: "s", cookie: "s", "x-own": "1" };
  assert.deepEqual(next(hop("http://a.example", "GET", secrets), 302, "/b")[2], secrets);
  for (const elsewhere of ["http://b.example", "http://a.example:81", "https://a.example"]) {
    assert.deepEqual(next(hop("http://a.example", "GET", secrets), 302, elsewhere)[2], { "x-own": "1" });
  }
});

test("headers", () => {
  const headers = new web.Headers({ "X-One": " 1 ", b: "2" });
  headers.append("x-one", "3");
  headers.append("set-cookie", "a=1, b");
  headers.append("Set-Cookie", "c=2");
  assert.deepEqual([...headers], [["b", "2"], ["set-cookie", "a=1, b"], ["set-cookie", "c=2"], ["x-one", "1, 3"]]);
  assert.deepEqual(headers.getSetCookie(), ["a=1, b", "c=2"]);
  assert.equal(headers.get("X-ONE"), "1, 3");
  assert.equal(headers.get("none"), null);
  headers.delete("B");
  assert.equal(headers.has("b"), false);
  for (const name of ["", "a b", "a:", "é"]) assert.throws(() => headers.set(name, ""), TypeError);
  assert.throws(() => headers.set("x", "secret\r\ninjected: 1"), (error) => !error.message.includes("secret"));
});

test("requests", async () => {
  const request = new web.Request("http://a.example/?q=é", { method: "post", body: new web.URLSearchParams({ a: "1 2" }) });
  assert.deepEqual([request.method, request.url], ["POST", "http://a.example/?q=%C3%A9"]);
  assert.equal(request.headers.get("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
  assert.equal(await request.clone().text(), "a=1+2");
  assert.equal(await request.text(), "a=1+2");
  await assert.rejects(request.text(), /already/);
  for (const url of ["/x", "ftp://a.example", "http://u:p@a.example"]) assert.throws(() => new web.Request(url), TypeError);
  assert.throws(() => new web.Request("http://a.example", { body: "x" }), /GET request has no body/);
  assert.throws(() => new web.Request("http://a.example", { method: "POST", body: {} }), /Blob/);
});

test("responses", async () => {
  const response = web.Response.json({ a: [1] }, { status: 404 });
  assert.deepEqual([response.ok, response.status, response.headers.get("content-type")], [false, 404, "application/json"]);
  assert.deepEqual(await response.clone().json(), { a: [1] });
  assert.equal(await response.text(), '{"a":[1]}');
  assert.throws(() => response.clone(), /read/);
  assert.equal(await new web.Response(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0xff)).text(), "a\ufffd");
});

test("text that is not UTF-8", () => {
  for (const bytes of ["é😀", "\ud800x"].map((text) => Buffer.from(text))) {
    assert.equal(web.decodeUtf8Lossy(bytes), bytes.toString());
  }
  const broken = Buffer.from([0x61, 0xc3, 0x62, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x98, 0x80, 0xff]);
  assert.equal(web.decodeUtf8Lossy(broken).replace(/\ufffd+/g, "?"), "a?b?😀?");
});

test("why there is no response, without what may be secret", () => {
  const why = (cause) => web.failure(hop("http://a.example/path?token=s"), cause).message;
  assert.equal(why({ tag: "connection-refused" }), "GET http://a.example failed: connection refused");
  assert.match(why({ tag: "internal-error", val: "as the host says" }), /failed: as the host says$/);
  assert.match(why({ tag: "HTTP-request-denied" }), /--allow-http a\.example$/);
});

test("a bundle has of it what it uses", async () => {
  const folder = mkdtempSync(join(tmpdir(), "brrr-web-"));
  const imported = async (text) => {
    const entry = join(folder, "app.js");
    writeFileSync(entry, text);
    const { imports } = await bundle(entry);
    return imports.map((path) => path.replace(/^wasi:(.*)@.*/, "$1")).filter((path) => !path.startsWith("brrr:"));
  };
  const always = ["clocks/monotonic-clock", "clocks/wall-clock", "random/random"];
  const more = async (text) => (await imported(text)).filter((path) => !always.includes(path)).sort();
  try {
    assert.deepEqual(await more('import { handler } from "brrr"; handler("a", () => 1)'), []);
    assert.deepEqual(await more('import { handler } from "brrr"; handler("a", () => new URL("http://x"))'), []);
    assert.deepEqual(await more("console.log(process.env.NODE_ENV)"), []);
    assert.deepEqual(await more("console.log(process.env.KEY)"), ["cli/environment"]);
    assert.deepEqual(await more('import { readFile } from "brrr"; readFile("/x")'), ["filesystem/preopens"]);
    const http = ["http/outgoing-handler", "http/types", "io/poll"];
    assert.deepEqual(await more("fetch('http://x')"), http);
    assert.deepEqual(await more("globalThis.fetch('http://x')"), http);
    assert.deepEqual(await more("const fetch = () => 1; fetch()"), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
