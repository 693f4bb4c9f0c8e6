// Opens report pages in Chromium, and notes everything that a page may not do.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // What makes pictures and times differ from one machine to the next.
  "--force-color-profile=srgb",
  "--font-render-hinting=none",
  "--disable-lcd-text",
  "--hide-scrollbars",
];

export const DESK = { width: 1280, height: 900 };
export const PHONE = { width: 400, height: 900 };

export async function launch(executable) {
  // As root, as in containers, Chromium has no sandbox; the pages are our own.
  return chromium.launch({ executablePath: executable, args: FLAGS, chromiumSandbox: process.getuid?.() !== 0 });
}

// Opens a file and returns the page with `noted`: what it said, asked for and ran since.
export async function open(browser, file, { hash = "", before, patience = 20_000, ...options } = {}) {
  const context = await browser.newContext({ viewport: DESK, colorScheme: "light", reducedMotion: "reduce", ...options });
  const noted = { console: [], errors: [], csp: [], dialogs: [], requests: [] };
  const url = pathToFileURL(file).href;
  await context.addInitScript(() => {
    globalThis.__reports = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.__reports.push(`${event.effectiveDirective} blocked ${event.blockedURI} ${event.sample}`.trim());
    });
  });
  if (before) await context.addInitScript(before);
  // The answer is empty, so that the request itself is what is noted and no error follows from it.
  await context.route(
    (asked) => asked.href.split("#")[0] !== url,
    (route) => route.fulfill({ status: 200, body: "" }),
  );
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on("console", (message) => {
    if (!["error", "warning", "assert"].includes(message.type())) return;
    const text = message.text();
    (/Content Security Policy/.test(text) ? noted.csp : noted.console).push(text);
  });
  page.on("pageerror", (error) => noted.errors.push(String(error)));
  page.on("dialog", async (dialog) => {
    noted.dialogs.push(`${dialog.type()}: ${dialog.message()}`);
    await dialog.dismiss();
  });
  context.on("request", (request) => {
    const asked = request.url();
    if (asked.split("#")[0] !== url && !asked.startsWith("data:")) noted.requests.push(asked);
  });
  await page.goto(url + hash, { waitUntil: "load" });
  return { page, noted, url, close: () => context.close() };
}

// What a page did that it may not do, by check; each is a list of what was found.
export async function misbehaved(page, noted) {
  await page.waitForTimeout(100); // reports and messages arrive after what they are about
  const found = await page.evaluate(() => {
    const alien = [];
    for (const element of document.querySelectorAll("*")) {
      const handlers = element.getAttributeNames().filter((name) => /^on/i.test(name) || name === "srcdoc");
      if (handlers.length || /^(img|iframe|object|embed|base|link|video|audio|frame|math)$/.test(element.localName)) {
        alien.push(`<${element.localName} ${handlers.join(" ")}>`);
      }
    }
    const links = [...document.querySelectorAll("[href], [src], [action], [formaction]")]
      .flatMap((element) => ["href", "src", "action", "formaction"].map((name) => element.getAttribute(name)))
      .filter((address) => address !== null && !/^(#|https:\/\/)/.test(address));
    const ran = globalThis.__xss === undefined ? [] : [`window.__xss is ${globalThis.__xss}`];
    return { reports: globalThis.__reports ?? [], alien, links, ran };
  });
  return {
    console: noted.console,
    errors: noted.errors,
    csp: [...new Set([...found.reports, ...noted.csp])],
    dialogs: noted.dialogs,
    xss: found.ran,
    markup: found.alien,
    links: found.links,
    network: noted.requests,
  };
}

const AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
let axe;

// What axe holds against a page as it looks now; a second list takes what it could not decide.
export async function axeFinds(page, undecided = []) {
  axe ??= await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe); // the policy allows no other way
  const { violations, incomplete } = await page.evaluate(
    (tags) => globalThis.axe.run({ runOnly: { type: "tag", values: tags }, resultTypes: ["violations", "incomplete"] }),
    AXE_TAGS,
  );
  undecided.push(...incomplete.map(({ id, nodes }) => `${id} x${nodes.length}`));
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)}`));
}
