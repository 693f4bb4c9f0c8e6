// Takes pictures of the example's page: node screenshots.mjs CHROMIUM REPORT.html FOLDER RULE|ID
import { join } from "node:path";
import { DESK, PHONE, launch, open } from "./chromium.mjs";

const [executable, html, folder, verdict] = process.argv.slice(2);
const PICTURES = {
  "first-screen": { colorScheme: "light", viewport: DESK },
  "first-screen-dark": { colorScheme: "dark", viewport: DESK },
  verdict: { colorScheme: "light", viewport: DESK, hash: `#explore?${new URLSearchParams({ outcome: "fail", open: verdict })}` },
  "first-screen-phone": { colorScheme: "light", viewport: PHONE },
};

const browser = await launch(executable);
for (const [name, options] of Object.entries(PICTURES)) {
  const { page, close } = await open(browser, html, options);
  await page.waitForSelector("#explore:not([hidden])");
  if (options.hash) await page.waitForSelector("#verdict[open]");
  await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled", caret: "hide" });
  await close();
}
await browser.close();
