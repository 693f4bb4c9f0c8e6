// Checks pages in the browser. Reads {chromium, pages} from the file named first and writes a line of JSON for each check:
// {page, check, found, more, info}; what was found is a list, and empty when all is well.
import { readFile, writeFile } from "node:fs/promises";
import { DESK, PHONE, axeFinds, launch, misbehaved, open } from "./chromium.mjs";
import { TESTS } from "./explore.mjs";

const MOST_NODES = 60_000;
const MOST_TOLD = 8;
const LOOKS = { light: "light", dark: "dark" };
const SCREENS = { 1280: DESK, 400: PHONE };

const job = JSON.parse(await readFile(process.argv[2], "utf8"));
const browser = await launch(job.chromium);

const tell = (page, check, found, info = "") => {
  const more = Math.max(0, found.length - MOST_TOLD);
  process.stdout.write(`${JSON.stringify({ page, check, found: found.slice(0, MOST_TOLD), more, info })}\n`);
};

// Which elements of the first screen end below it, and whether it is too wide.
function firstScreen(height) {
  const section = document.getElementById("first-screen");
  if (section === null) return { found: ["no element has the id first-screen"], info: "" };
  const ends = [section, ...section.querySelectorAll("*")].filter((element) => element.checkVisibility()).map((element) => {
    const end = element.getBoundingClientRect().bottom + scrollY;
    return [end, `<${element.localName}> "${element.textContent.trim().slice(0, 40)}" ends at ${Math.round(end)}`];
  });
  const found = ends.filter(([end]) => end >= height).map(([, text]) => text);
  return { found, info: `ends at ${Math.round(Math.max(...ends.map(([end]) => end)))} of ${height}` };
}

function tooWide() {
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth > clientWidth ? [`${scrollWidth} wide at ${clientWidth}`] : [];
}

const CHECKS = {
  async visit({ name, html }) {
    const { page, noted, close } = await open(browser, html);
    const { found, info } = await page.evaluate(firstScreen, DESK.height);
    tell(name, "first screen", found, info);
    await page.evaluate(() => {
      for (const element of document.querySelectorAll("details")) element.open = true;
    });
    const wide = await page.evaluate(tooWide);
    await page.setViewportSize(PHONE);
    tell(name, "width", [...wide, ...(await page.evaluate(tooWide))]);
    for (const [check, faults] of Object.entries(await misbehaved(page, noted))) tell(name, check, faults);
    const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
    tell(name, "nodes", nodes > MOST_NODES ? [`${nodes} elements are more than ${MOST_NODES}`] : [], `${nodes} elements`);
    await close();
  },

  async axe({ name, html }, look) {
    const { page, close } = await open(browser, html);
    const [colorScheme, width] = look.split(" ");
    await page.emulateMedia({ colorScheme: LOOKS[colorScheme] });
    await page.setViewportSize(SCREENS[width]);
    const undecided = [];
    tell(name, `axe: ${look}`, await axeFinds(page, undecided), undecided.length ? `not decided: ${undecided.join(", ")}` : "");
    await close();
  },

  async pdf({ name, html, pdf, tagged }) {
    const { page, close } = await open(browser, html);
    await page.pdf({ path: pdf, tagged, outline: tagged, preferCSSPageSize: true, format: "A4" });
    // What the first page of a print must not lack: the headings and the figures of the first screen.
    const first = await page.evaluate(() =>
      [...document.querySelectorAll("#first-screen :is(h1, h2, h3, b, .label)")].map((element) => element.textContent.trim()),
    );
    await writeFile(pdf.replace(/pdf$/, "txt"), [...new Set(first)].join("\n"));
    await close();
  },

  async explore({ name, html, damaged, oracle, broken }, test) {
    const { verdict, verdicts } = JSON.parse(await readFile(oracle, "utf8"));
    // What never comes on a page that is broken on purpose is not waited for so long.
    const patience = broken ? 4_000 : 20_000;
    const opening = (file, options) => open(browser, file, { patience, ...options });
    try {
      await TESTS[test]({ open: opening, html, damaged, verdict, verdicts });
      tell(name, `explore: ${test}`, []);
    } catch (error) {
      tell(name, `explore: ${test}`, [error.message.slice(0, 800)]);
    }
  },
};

async function work(queue) {
  for (let task = queue.shift(); task; task = queue.shift()) {
    const [entry, check] = task;
    const [kind, detail] = check.split(": ");
    const started = Date.now();
    try {
      await CHECKS[kind](entry, detail);
    } catch (error) {
      tell(entry.name, check, [String(error.stack ?? error)]);
    }
    if (process.env.TIMES) process.stderr.write(`${Date.now() - started} ms ${entry.name}, ${check}\n`);
  }
}

const unlisted = Object.keys(TESTS).filter((test) => !job.tests.includes(test));
if (unlisted.length) tell("all pages", "explore", unlisted.map((test) => `no broken page shows that "${test}" can fail`));
// Whatever hangs ends, and what was not told fails.
setTimeout(() => process.exit(70), 900_000).unref();
// Two at a time: there are two processors nearly everywhere.
const queue = job.pages.flatMap((entry) => entry.checks.map((check) => [entry, check]));
await Promise.all([work(queue), work(queue)]);
await browser.close();
