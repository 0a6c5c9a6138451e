import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { chromium } from "playwright-core";
import http from "node:http";
const [,, backendKind, ...sizes] = process.argv;
const dir = mkdtempSync("/tmp/measure/m-");
let redis;
const env = { ...process.env };
if (backendKind === "redis") {
  redis = spawn("redis-server", ["--port", "7399", "--bind", "127.0.0.1", "--save", "", "--dir", dir], { stdio: "ignore" });
  await new Promise((r) => setTimeout(r, 1000));
  env.BRRR_BACKEND = "redis://127.0.0.1:7399";
}
const child = spawn("/tmp/measure-host", ["run", "--topic", "shop", "--http", "127.0.0.1:0", "/tmp/rust-page.wasm"], { cwd: dir, env, stdio: ["ignore", "ignore", "pipe"] });
let err = "";
const url = await new Promise((f) => child.stderr.on("data", (d) => { err += d; const m = /gateway on (http:\S+)\n/.exec(err); if (m) f(m[1]); }));
const agent = new http.Agent({ keepAlive: true, maxSockets: 24 });
const post = (body) => new Promise((ok, bad) => {
  const r = http.request(url + "/v1/jobs", { method: "POST", agent, headers: { "content-type": "application/json" } }, (a) => { a.resume(); a.on("end", () => (a.statusCode < 300 ? ok() : bad(new Error(String(a.statusCode))))); });
  r.on("error", bad); r.end(JSON.stringify(body));
});
let made = 0;
async function fill(n) {
  const next = async () => { while (made < n) { const i = made++; await post({ task: i % 500 === 3 ? "ask_bank" : "ship", input: i % 500 === 3 ? { id: i, card: "expired" } : { id: i } }); } };
  await Promise.all(Array.from({ length: 24 }, next));
  for (;;) { const { topics } = await (await fetch(url + "/v1/topics")).json(); if (topics[0].depth === 0) break; await new Promise((r) => setTimeout(r, 300)); }
}
const med = (a) => a.toSorted((x, y) => x - y)[Math.floor(a.length / 2)];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
for (const size of sizes.map(Number)) {
  const t0 = Date.now(); await fill(size); console.log(backendKind, size, "filled in", Date.now() - t0, "ms");
  const api = {};
  for (const path of ["/v1/jobs?limit=48", "/v1/jobs?limit=50", "/v1/jobs?state=failed&limit=20", "/v1/jobs?state=timed-out&limit=20", "/v1/topics", "/v1/promises", "/v1/topics/shop", "/v1/topics/shop/dead-letters?limit=20", "/v1/topics/shop/schedules"]) {
    const times = []; for (let n = 0; n < 5; n++) { const b = performance.now(); await (await fetch(url + path)).text(); times.push(performance.now() - b); } api[path] = Math.round(med(times) * 10) / 10;
  }
  console.log(backendKind, size, JSON.stringify(api));
  for (const [view, sel] of [["/ui/", ".verdict"], ["/ui/", ".strip"], ["/ui/jobs", "tbody tr"]]) {
    const times = [];
    for (let n = 0; n < 5; n++) { const page = await browser.newPage(); const b = performance.now(); await page.goto(url + view); await page.waitForSelector(sel); times.push(performance.now() - b); await page.close(); }
    console.log(backendKind, size, view, sel, Math.round(med(times)), "ms");
  }
}
await browser.close(); child.kill("SIGKILL"); redis?.kill("SIGKILL"); process.exit(0);
