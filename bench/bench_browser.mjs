// Prints as JSON how long a browser takes with a report, and what it costs:
//
//     node bench/bench_browser.mjs REPORT.html [CHROMIUM]
//
// `make check-reports` installs what it needs. It asserts nothing about time: machines differ. The medians of RUNS fresh
// browsers; times are in the page, from the call to the end of layout, but for `usable_s`: from asking for the page to the
// first rows of Explore.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { launch, open } from "../tests/browser/chromium.mjs";

const RUNS = 3;
const [file, executable = "/usr/bin/chromium"] = process.argv.slice(2);

// How long the page takes to do what an event asks for.
function timed([id, type, value]) {
  const element = document.querySelector(id);
  if (value !== undefined) element.value = value;
  const started = performance.now();
  element.dispatchEvent(new Event(type, { bubbles: true }));
  document.body.getBoundingClientRect();
  return performance.now() - started;
}

// How long a search takes: what is typed is not looked for at once.
async function searched(text) {
  const count = document.getElementById("explore-count");
  const before = count.textContent;
  const done = new Promise((resolve) => {
    new MutationObserver(() => count.textContent !== before && resolve()).observe(count, { childList: true, characterData: true, subtree: true });
  });
  const input = document.getElementById("explore-q");
  input.value = text;
  const started = performance.now();
  input.dispatchEvent(new Event("input", { bubbles: true }));
  await done;
  document.body.getBoundingClientRect();
  return performance.now() - started;
}

async function memory(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const sizes = await Promise.all(
    processInfo
      .filter(({ type }) => type === "renderer")
      .map(async ({ id }) => Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${id}/status`, "utf8").catch(() => ""))?.[1] ?? 0)),
  );
  return Math.max(...sizes) / 1024;
}

async function run() {
  const browser = await launch(executable);
  const blank = await browser.newPage(); // so that the start of the browser is not counted
  await blank.close();
  const started = performance.now();
  const { page } = await open(browser, resolve(file), { patience: 600_000 });
  const loaded = performance.now();
  await page.waitForSelector("#explore-table tbody tr");
  const usable = performance.now();
  const name = (await page.locator("button.open").first().textContent()).slice(-3);
  const figures = {
    loaded_s: (loaded - started) / 1000,
    usable_s: (usable - started) / 1000,
    filter_ms: await page.evaluate(timed, ["#explore-outcome", "change", "fail"]),
    unfilter_ms: await page.evaluate(timed, ["#explore-outcome", "change", ""]),
    search_ms: await page.evaluate(searched, name),
    unsearch_ms: await page.evaluate(searched, ""),
    sort_ms: await page.evaluate(timed, ['[data-sort="name"]', "click"]),
    turn_ms: await page.evaluate(timed, ["#explore-next", "click"]),
    elements: await page.evaluate(() => document.querySelectorAll("*").length),
    renderer_mb: await memory(browser),
  };
  await browser.close();
  return figures;
}

const html = await readFile(file, "utf8");
const code = [...html.matchAll(/<(style|script)>([^]*?)<\/\1>/g)].reduce((sum, [, , text]) => sum + Buffer.byteLength(text), 0);
const runs = [];
for (let k = 0; k < RUNS; k++) runs.push(await run());
const median = (values) => values.sort((one, other) => one - other)[values.length >> 1];
const figures = Object.fromEntries(Object.keys(runs[0]).map((key) => [key, Math.round(median(runs.map((one) => one[key])) * 100) / 100]));
process.stdout.write(`${JSON.stringify({ bytes: Buffer.byteLength(html), code_bytes: code, ...figures }, null, 2)}\n`);
