// Drives Explore and compares what it shows with the verdicts of report.json, which Python has written out one by one.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { DESK, PHONE, axeFinds, misbehaved } from "./chromium.mjs";

const SIZE = 50;
const SEVERITIES = ["critical", "high", "medium", "low"];
const OUTCOMES = ["fail", "unknown", "pass", "not-applicable"];
const FILTERS = ["outcome", "severity", "rule", "kind", "subscription", "location", "exempt", "baseline"];
// What a link may lead to: a VM or a vault, spelled as Azure allows names to be spelled.
const PORTAL =
  /^https:\/\/portal\.azure\.com\/#resource(\/subscriptions\/[0-9a-f-]{36}\/resourceGroups\/[\w.()-]{1,90}\/providers\/Microsoft\.(Compute\/virtualMachines|RecoveryServices\/vaults)\/[\w.-]{1,80})$/i;

function inOrder(verdicts, rank) {
  return [...verdicts].sort((one, other) => (rank(one) < rank(other) ? -1 : rank(one) > rank(other) ? 1 : 0));
}

// Not more than so many, from all over the list.
const spread = (list, most) => list.filter((_, k) => k % Math.ceil(list.length / most) === 0);

// What the oracle answers to a query such as {outcome: "fail,unknown", q: "sql weu"}.
function wanted(verdicts, query) {
  const words = (query.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const outcomes = query.outcome ? query.outcome.split(",") : null;
  return verdicts.filter((one) => {
    if (outcomes && !outcomes.includes(one.outcome)) return false;
    for (const key of ["severity", "rule", "kind", "subscription", "location", "baseline"]) {
      if (query[key] && one[key] !== query[key]) return false;
    }
    if (query.exempt && one.exempt !== (query.exempt === "yes")) return false;
    const said = [one.name, one.group, one.subscription, one.subscription_name, one.location, one.rule, one.title, one.message];
    return words.every(
      (word) =>
        said.some((text) => (text ?? "").toLowerCase().includes(word)) || (word.includes("/") && one.id.toLowerCase().includes(word)),
    );
  });
}

// By what rows are ordered, for the texts of a cell that is sorted.
const KEYS = {
  outcome: (one) => OUTCOMES.indexOf(one.outcome),
  severity: (one) => SEVERITIES.indexOf(one.severity),
  rule: (one) => one.rule,
  name: (one) => (one.name ?? "").toLowerCase(),
  group: (one) => (one.group ?? "").toLowerCase(),
  subscription: (one) => (one.subscription_name || one.subscription || "").toLowerCase(),
  location: (one) => (one.location ?? "").toLowerCase(),
};

const address = (query) => `#explore?${new URLSearchParams(query)}`;
const asked = (page) => page.evaluate(() => Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? "")));

async function ready(t, { hash = "#explore", ...options } = {}) {
  const opened = await t.open(t.html, { hash, ...options });
  await opened.page.waitForSelector("#explore-table tbody tr, #explore-count:not(:empty)", { state: "attached" });
  return opened;
}

async function count(page) {
  const text = await page.locator("#explore-count").textContent();
  const found = /of ([\d,]+) verdicts/.exec(text);
  return found ? Number(found[1].replaceAll(",", "")) : 0;
}

const rows = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("#explore-table tbody tr")].map((tr) => {
      const texts = [...tr.cells].map((cell) => (cell.firstChild ? cell.firstChild.textContent : ""));
      const [outcome, severity, rule, name, group, subscription, location] = texts;
      return { outcome: outcome.replace(" ", "-"), severity, rule, name, group, subscription, location };
    }),
  );

const asRow = (one) => ({
  outcome: one.outcome,
  severity: one.severity,
  rule: one.rule,
  name: one.name,
  group: one.group ?? "",
  subscription: one.subscription_name || one.subscription || "",
  location: one.location ?? "",
});

const sortedTexts = (list) => list.map((one) => JSON.stringify(one)).sort();

// Goes to a page at once; the paging test types its number.
const turn = (page, number) =>
  page.evaluate((value) => {
    const input = document.getElementById("explore-page");
    input.value = value;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, String(number));

// Every page of what is shown.
async function allRows(page) {
  const total = await count(page);
  const found = [];
  for (let number = 1; number <= Math.max(1, Math.ceil(total / SIZE)); number++) {
    await turn(page, number);
    found.push(...(await rows(page)));
  }
  return found;
}

async function search(page, text) {
  await page.fill("#explore-q", text);
  await page.waitForFunction((q) => (new URLSearchParams(location.hash.split("?")[1] ?? "").get("q") ?? "") === q, text.trim());
}

// Chooses in a select as a person does who has no mouse, without waiting for each.
const choose = (page, changes) =>
  page.evaluate((list) => {
    for (const [key, value] of list) {
      const select = document.getElementById(`explore-${key}`);
      select.value = value;
      if (select.value !== value) throw new Error(`${key} has no choice ${value}`);
      select.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }, Object.entries(changes));

const dialog = (page) =>
  page.evaluate(() => {
    const box = document.getElementById("verdict");
    if (!box.open) return null;
    const said = {};
    for (const dt of box.querySelectorAll("dt")) said[dt.textContent.trim()] = dt.nextElementSibling.textContent;
    return {
      title: box.querySelector("h2").textContent,
      text: box.textContent,
      said,
      evidence: [...box.querySelectorAll("table tbody tr")].map((tr) => [...tr.cells].map((cell) => cell.textContent)),
      links: [...box.querySelectorAll("a.portal")].map((link) => link.href),
      id: box.querySelector("code").textContent,
    };
  });

const show = (page, one) =>
  page.evaluate((hash) => {
    location.hash = hash;
    return new Promise((resolve) => setTimeout(resolve));
  }, address({ open: `${one.rule}|${one.id}` }));

function evidenceOf(one) {
  return one.evidence.map(({ field, value, expected, source, reason }) => [
    field,
    value ?? (reason ? "not known" : "not there"),
    expected,
    source && reason ? `${source}: ${reason}` : source || reason,
  ]);
}

function sameDialog(one, found) {
  assert.ok(found, `${one.rule} of ${one.id}: no dialog`);
  const about = `${one.rule} of ${one.name}: `;
  assert.ok(found.title.includes(one.name) && found.title.includes(one.outcome.replace("-", " ")), `${about}the title is ${found.title}`);
  assert.equal(found.id, one.id, `${about}id`);
  // A message is shown as a sentence: with a capital.
  const sentence = (one.message ?? "").slice(0, 1).toUpperCase() + (one.message ?? "").slice(1);
  for (const part of [one.rule, sentence, one.source, one.group, one.subscription, one.location]) {
    assert.ok(found.text.includes(part ?? ""), `${about}it does not say ${part}`);
  }
  assert.deepEqual(found.evidence, evidenceOf(one), `${about}evidence`);
  if (one.outcome === "fail" || one.outcome === "unknown") {
    assert.equal(found.said.Expected ?? "", one.expected, `${about}expected`);
    assert.equal(found.said.Observed ?? "", one.observed, `${about}observed`);
    assert.ok(words(found.text).includes(words(one.fix)), `${about}what to do is missing`);
    if (one.exempt) assert.ok(found.said.Exempt?.includes(one.exempt_reason), `${about}the exemption is ${found.said.Exempt}`);
  }
}

const words = (text) => text.replace(/\s+/g, "");

function parseCsv(text) {
  const lines = [[""]];
  let quoted = false;
  for (let k = 0; k < text.length; k++) {
    const line = lines.at(-1);
    if (quoted && text[k] === '"' && text[k + 1] === '"') line[line.length - 1] += text[k++];
    else if (text[k] === '"') quoted = !quoted;
    else if (!quoted && text[k] === ",") line.push("");
    else if (!quoted && text[k] === "\r" && text[k + 1] === "\n") (lines.push([""]), k++);
    else line[line.length - 1] += text[k];
  }
  assert.deepEqual(lines.pop(), [""], "the last line has no end");
  return lines;
}

async function csv(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#explore-csv")]);
  const text = await readFile(await download.path(), "utf8");
  assert.equal(text[0], "\ufeff", "no mark of UTF-8");
  const [head, ...lines] = parseCsv(text.slice(1));
  return lines.map((line) => {
    assert.equal(line.length, head.length, `a line of ${line.length} cells`);
    return Object.fromEntries(head.map((name, k) => [name, line[k]]));
  });
}

const DANGEROUS = /^\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/;

// Spreadsheets must not calculate what Azure said: such a cell begins with an apostrophe, and no other is changed.
const safe = (text) => (DANGEROUS.test(text) ? `'${text}` : text);

function sameCsv(lines, verdicts) {
  assert.equal(lines.length, verdicts.length, "lines");
  const key = (line) => JSON.stringify([line.rule, line.resource_id]);
  const found = new Map(lines.map((line) => [key(line), line]));
  for (const one of verdicts) {
    const line = found.get(JSON.stringify([one.rule, safe(one.id)]));
    assert.ok(line, `no line for ${one.rule} of ${one.id}`);
    const cells = { ...one, resource_id: one.id, resource_group: one.group, exempt: String(one.exempt) };
    for (const name of Object.keys(line)) {
      assert.ok(name in cells, `an unknown column ${name}`);
      assert.equal(line[name], safe(cells[name] ?? ""), `${name} of ${one.rule} of ${one.id}`);
    }
  }
  for (const line of lines) for (const cell of Object.values(line)) assert.ok(!DANGEROUS.test(cell), `a formula: ${cell}`);
}

export const TESTS = {
  async counts(t) {
    const { page, close } = await ready(t);
    assert.equal(await count(page), t.verdicts.length, "all verdicts");
    const rules = [...new Set(t.verdicts.map((one) => one.rule))];
    for (const rule of rules) {
      for (const outcome of OUTCOMES) {
        await choose(page, { rule, outcome });
        assert.equal(await count(page), wanted(t.verdicts, { rule, outcome }).length, `${rule} ${outcome}`);
      }
    }
    await close();
  },

  async "every verdict"(t) {
    const { page, close } = await ready(t);
    assert.deepEqual(sortedTexts(await allRows(page)), sortedTexts(t.verdicts.map(asRow)));
    await close();
  },

  async search(t) {
    const { page, noted, close } = await ready(t);
    const status = page.locator("#explore-count");
    assert.equal(await status.getAttribute("role"), "status");
    const finding = t.verdicts.find((one) => one.outcome === "fail");
    const texts = [finding.name, finding.name.slice(1, -1).toUpperCase(), finding.group, finding.rule, finding.location, finding.id];
    texts.push(`${finding.group} ${finding.rule.slice(0, 5)}`, finding.message.split(" ").slice(0, 3).join(" "), "no such thing", "");
    for (const text of texts) {
      const before = await status.textContent();
      await search(page, text);
      const expected = wanted(t.verdicts, { q: text });
      assert.equal(await count(page), expected.length, `"${text}"`);
      if (expected.length <= SIZE) assert.deepEqual(sortedTexts(await rows(page)), sortedTexts(expected.map(asRow)), `"${text}"`);
      if (text === finding.name) assert.notEqual(await status.textContent(), before, "the count is announced");
    }
    await page.press("#explore-q", "Enter");
    await page.waitForTimeout(50);
    assert.deepEqual([noted.errors, noted.csp, page.url().includes("?q=")], [[], [], false], "Enter sends nothing away");
    await close();
  },

  async filters(t) {
    const { page, close } = await ready(t);
    let tried = 0;
    for (const key of FILTERS) {
      if (!(await page.locator(`#explore-${key}`).count())) continue;
      const values = await page.$$eval(`#explore-${key} option`, (options) => options.map((option) => option.value));
      const there = new Set(wanted(t.verdicts, {}).map((one) => one[key]));
      if (["severity", "rule", "kind", "subscription", "location"].includes(key)) {
        there.delete(null);
        there.delete("");
        assert.deepEqual(values.filter(Boolean).sort(), [...there].sort(), `choices of ${key}`);
      }
      for (const value of spread(values, 25)) {
        await choose(page, { [key]: value });
        assert.equal(await count(page), wanted(t.verdicts, { [key]: value }).length, `${key} ${value}`);
        tried++;
      }
      await choose(page, { [key]: "" });
    }
    assert.ok(tried > 10);
    await page.selectOption("#explore-outcome", "fail");
    await page.click("#explore-reset");
    assert.equal(await count(page), t.verdicts.length, "reset");
    assert.equal(await page.inputValue("#explore-outcome"), "");
    await close();
  },

  async "filters together"(t) {
    const { page, close } = await ready(t);
    const finding = t.verdicts.find((one) => one.outcome === "unknown");
    const query = { outcome: "unknown", severity: finding.severity, kind: finding.kind, location: finding.location };
    query.subscription = finding.subscription;
    await choose(page, query);
    await search(page, finding.name);
    const expected = wanted(t.verdicts, { ...query, q: finding.name });
    assert.ok(expected.length > 0 && expected.length < wanted(t.verdicts, { q: finding.name }).length, "this tells nothing");
    assert.equal(await count(page), expected.length);
    assert.deepEqual(sortedTexts(await allRows(page)), sortedTexts(expected.map(asRow)));
    await close();
  },

  async sort(t) {
    const { page, close } = await ready(t);
    for (const [key, rank] of Object.entries(KEYS)) {
      const keys = inOrder(t.verdicts, rank).map(rank);
      for (const direction of ["ascending", "descending"]) {
        await page.click(`button[data-sort="${key}"]`);
        const marked = await page.$$eval("#explore-table th", (cells) =>
          cells.map((th) => [th.querySelector("button")?.dataset.sort, th.getAttribute("aria-sort")]).filter(([, sort]) => sort && sort !== "none"),
        );
        assert.deepEqual(marked, [[key, direction]], "aria-sort");
        const pages = Math.ceil(keys.length / SIZE);
        for (const number of new Set([1, Math.ceil(pages / 2), pages])) {
          await turn(page, number);
          const shown = (await rows(page)).map((row) => rank({ ...row, subscription_name: row.subscription }));
          assert.deepEqual(shown, keys.slice((number - 1) * SIZE, number * SIZE), `${key} ${direction}, page ${number}`);
        }
        keys.reverse();
      }
    }
    await close();
  },

  async paging(t) {
    const { page, close } = await ready(t);
    const last = Math.ceil(t.verdicts.length / SIZE);
    assert.ok(last > 2, "this tells nothing");
    const status = async () => /^([\d,]+)–([\d,]+) of/.exec(await page.locator("#explore-count").textContent()).slice(1).join(" ").replaceAll(",", "");
    assert.equal(await status(), `1 ${SIZE}`);
    assert.ok(await page.isDisabled("#explore-prev"), "nothing is before the first page");
    const first = await rows(page);
    assert.equal(first.length, SIZE);
    await page.click("#explore-next");
    assert.equal(await status(), `${SIZE + 1} ${2 * SIZE}`);
    const second = await rows(page);
    assert.notDeepEqual(second, first);
    await page.click("#explore-prev");
    assert.deepEqual(await rows(page), first);
    await turn(page, last);
    assert.ok(await page.isDisabled("#explore-next"), "nothing is after the last page");
    assert.equal(await status(), `${(last - 1) * SIZE + 1} ${t.verdicts.length}`);
    assert.equal((await rows(page)).length, t.verdicts.length - (last - 1) * SIZE);
    for (const wrong of ["0", "-3", "99999999", "1e3", ""]) {
      await page.fill("#explore-page", wrong);
      await page.press("#explore-page", "Enter");
      assert.ok((await rows(page)).length > 0, `page "${wrong}" is empty`);
    }
    await turn(page, 2);
    await choose(page, { outcome: "fail" });
    assert.match(await status(), /^1 /, "a filter goes back to the first page");
    await close();
  },

  async keyboard(t) {
    const { page, close } = await ready(t);
    const active = () => page.evaluate(() => {
      const { activeElement: at } = document;
      return { open: at.matches("button.open"), text: at.textContent, row: at.closest("tr")?.rowIndex, inside: Boolean(at.closest("#verdict")), body: at === document.body };
    });
    await page.focus("#explore-q");
    let presses = 0;
    while (!(await active()).open && presses++ < 60) await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    const before = await active();
    assert.ok(before.open && before.row === 2, `Tab does not reach the rows: ${JSON.stringify(before)}`);
    for (const close of ["Escape", "Enter"]) {
      await page.keyboard.press("Enter");
      await page.waitForSelector("#verdict[open]");
      assert.ok((await page.textContent("#verdict h2")).includes(before.text));
      for (let k = 0; k < 12; k++) {
        await page.keyboard.press("Tab");
        const at = await active();
        assert.ok(at.inside || at.body, `Tab leaves the dialog for ${at.text}`);
      }
      if (close === "Enter") await page.focus("#verdict-close");
      await page.keyboard.press(close);
      await page.waitForSelector("#verdict:not([open])", { state: "attached" });
      await page.waitForTimeout(50);
      assert.deepEqual(await active(), before, `where focus is after ${close}`);
    }
    await page.focus('button[data-sort="name"]');
    await page.keyboard.press("Space");
    assert.equal(await page.getAttribute("#explore-table th:has(button[data-sort=name])", "aria-sort"), "ascending");
    assert.equal(await page.evaluate(() => document.activeElement.dataset.sort), "name", "where focus is after sorting");
    await close();
  },

  async history(t) {
    const { page, close } = await ready(t, { hash: "" });
    const seen = async () => [await asked(page), await count(page), (await dialog(page)) !== null, await page.inputValue("#explore-outcome")];
    const steps = [await seen()];
    await page.selectOption("#explore-outcome", "fail");
    steps.push(await seen());
    await page.click('button[data-sort="name"]');
    steps.push(await seen());
    await page.locator("button.open").nth(2).click();
    steps.push(await seen());
    assert.deepEqual(steps.map(([query]) => Object.keys(query).sort()), [[], ["outcome"], ["outcome", "sort"], ["open", "outcome", "sort"]]);
    for (let k = steps.length - 2; k >= 0; k--) {
      await page.goBack();
      await page.waitForTimeout(50);
      assert.deepEqual(await seen(), steps[k], `back to ${JSON.stringify(steps[k][0])}`);
    }
    for (let k = 1; k < steps.length; k++) {
      await page.goForward();
      await page.waitForTimeout(50);
      assert.deepEqual(await seen(), steps[k], `forward to ${JSON.stringify(steps[k][0])}`);
    }
    await close();
  },

  async "shared address"(t) {
    const one = wanted(t.verdicts, { outcome: "unknown" }).at(-1);
    const query = { outcome: "unknown", rule: one.rule, sort: "-name", q: one.rule.slice(0, 4), open: `${one.rule}|${one.id}` };
    const { page, noted, close } = await ready(t, { hash: address(query) });
    await page.waitForSelector("#verdict[open]");
    sameDialog(one, await dialog(page));
    assert.equal(await count(page), wanted(t.verdicts, query).length);
    assert.equal(await page.inputValue("#explore-outcome"), "unknown");
    assert.equal(await page.inputValue("#explore-q"), query.q);
    const names = (await rows(page)).map(KEYS.name);
    assert.deepEqual(names, [...names].sort().reverse(), "sorted as the address says");
    await page.click("#verdict-close");
    await page.waitForTimeout(50);
    assert.ok(!("open" in (await asked(page))));
    await close();
    // Addresses that nobody could have made by clicking.
    for (const hash of ["#explore?open=no|where", "#explore?page=99&sort=nothing", "#explore?rule=__proto__", "#explore?%E0%A4%A", "#explore?open=%00|%ff"]) {
      const odd = await ready(t, { hash });
      assert.deepEqual(odd.noted.errors, [], hash);
      assert.equal(await dialog(odd.page), null, hash);
      await odd.close();
    }
    assert.deepEqual(noted.errors, []);
  },

  async "numbers lead here"(t) {
    const { page, close } = await ready(t, { hash: "" });
    const links = await page.$$eval("a[data-explore]", (found) =>
      found.map((link) => [link.dataset.explore, (link.querySelector("b") ?? link).textContent.trim(), link.getAttribute("href")]),
    );
    assert.ok(links.length >= 5, "there are no such links");
    const firsts = await page.$$eval("#first-screen a[data-explore]", (found) => found.length);
    assert.ok(firsts >= 5, "the tiles lead nowhere");
    for (const [k, [query, text, href]] of links.entries()) {
      await page.evaluate((n) => document.querySelectorAll("a[data-explore]")[n].click(), k);
      const expected = wanted(t.verdicts, Object.fromEntries(new URLSearchParams(query))).length;
      assert.equal(await count(page), expected, query);
      if (/^[\d,]+$/.test(text)) assert.equal(Number(text.replaceAll(",", "")), expected, `the number that leads to ${query}`);
      assert.equal(href, `#explore?${query}`);
    }
    await page.locator("#first-screen a[data-explore]").first().click();
    assert.ok(await page.locator("#explore").evaluate((section) => section.getBoundingClientRect().top < innerHeight), "it is in view");
    await close();
  },

  async "dialog contents"(t) {
    const { page, noted, close } = await ready(t);
    const others = t.verdicts.filter((one) => one.outcome === "pass" || one.outcome === "not-applicable");
    for (const one of [...spread(wanted(t.verdicts, { outcome: "fail,unknown" }), 80), ...spread(others, 20)]) {
      await show(page, one);
      sameDialog(one, await dialog(page));
    }
    assert.deepEqual(await misbehaved(page, noted).then(({ xss, markup, links, network, errors }) => ({ xss, markup, links, network, errors })), {
      xss: [], markup: [], links: [], network: [], errors: [],
    });
    await close();
  },

  async "portal links"(t) {
    const { page, close } = await ready(t);
    const ids = new Map(wanted(t.verdicts, { outcome: "fail,unknown" }).map((one) => [one.id, one]));
    for (const one of spread([...ids.values()], 60)) {
      await show(page, one);
      const { links } = await dialog(page);
      const vault = /^(.*\/providers\/Microsoft\.RecoveryServices\/vaults\/[^/]+)(\/|$)/i.exec(one.id)?.[1];
      const target = `https://portal.azure.com/#resource${vault ?? one.id}`;
      assert.deepEqual(links, PORTAL.test(target) ? [target] : [], one.id);
    }
    await close();
  },

  async csv(t) {
    const { page, close } = await ready(t);
    sameCsv(await csv(page), t.verdicts);
    const query = { outcome: "fail", severity: "high" };
    await choose(page, query);
    await page.click('button[data-sort="name"]');
    const lines = await csv(page);
    const expected = wanted(t.verdicts, query);
    sameCsv(lines, expected);
    assert.deepEqual(lines.map((line) => line.name.toLowerCase()), inOrder(expected, KEYS.name).map((one) => safe(KEYS.name(one))), "as sorted");
    await close();
  },

  async copy(t) {
    const { page, close } = await ready(t, { permissions: ["clipboard-read", "clipboard-write"] });
    const one = wanted(t.verdicts, { outcome: "fail" })[0];
    await show(page, one);
    await page.click("#verdict-copy");
    await page.waitForTimeout(100);
    const copied = await page.evaluate(async () => [await navigator.clipboard.readText().catch(() => ""), getSelection().toString()]);
    assert.ok(copied.includes(one.id), `copied is ${copied}`);
    await close();
  },

  async theme(t) {
    const { page, close } = await ready(t);
    const look = () => page.evaluate(() => [document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]);
    const [, light] = await look();
    await page.click("#theme");
    const [name, dark] = await look();
    assert.equal(name, "dark");
    assert.notEqual(dark, light);
    assert.deepEqual(await axeFinds(page), [], "axe in chosen dark");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.click("#theme");
    assert.deepEqual(await look(), ["light", light], "light while the system is dark");
    assert.deepEqual(await axeFinds(page), [], "axe in chosen light");
    await close();
  },

  async "axe with a dialog"(t) {
    const { page, close } = await ready(t);
    await show(page, wanted(t.verdicts, { outcome: "fail" })[0]);
    for (const [colorScheme, viewport] of [["light", DESK], ["dark", PHONE]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      assert.deepEqual(await axeFinds(page), [], `${colorScheme} ${viewport.width}`);
      const box = await page.locator("#verdict").boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= viewport.width, `the dialog is wider than ${viewport.width}`);
    }
    await close();
  },

  async "damaged data"(t) {
    assert.ok(t.damaged.length > 0);
    for (const html of t.damaged) {
      const { page, noted, close } = await t.open(html, { hash: "#explore?outcome=fail" });
      await page.waitForSelector("#explore-notice:visible");
      assert.match(await page.textContent("#explore-notice"), /damaged/);
      assert.ok(await page.isHidden("#explore"));
      await stillReadable(t, page);
      const { console, errors, csp } = await misbehaved(page, noted);
      assert.deepEqual({ console, errors, csp }, { console: [], errors: [], csp: [] });
      await close();
    }
  },

  async "old browser"(t) {
    const { page, noted, close } = await t.open(t.html, { before: () => { delete globalThis.DecompressionStream; } });
    await page.waitForSelector("#explore-notice:visible");
    assert.match(await page.textContent("#explore-notice"), /browser/);
    assert.ok(await page.isHidden("#explore"));
    await stillReadable(t, page);
    assert.deepEqual(noted.errors, []);
    await close();
  },

  async "without script"(t) {
    const { page, close } = await t.open(t.html, { javaScriptEnabled: false });
    assert.ok(await page.locator("#explore").isHidden(), "Explore is there and does nothing");
    assert.ok(await page.locator("#theme").isHidden(), "a button is there and does nothing");
    await stillReadable(t, page);
    await close();
  },
};

async function stillReadable(t, page) {
  const text = words(await page.locator("body").innerText());
  const first = wanted(t.verdicts, { outcome: "fail" })[0];
  for (const part of [t.verdict, first.message, first.name]) assert.ok(text.includes(words(part)), `"${part}" cannot be read`);
  await page.locator("details summary").first().click();
  assert.ok(await page.locator("details[open] table").first().isVisible(), "evidence cannot be opened");
  // A link to what is not there would lead nowhere.
  for (const href of await page.$$eval("a[href^='#']", (links) => links.filter((link) => link.checkVisibility()).map((link) => link.getAttribute("href")))) {
    const target = await page.$$eval("[id]", (found, id) => found.filter((one) => one.id === id).map((one) => one.checkVisibility()), decodeURIComponent(href.slice(1)));
    assert.deepEqual(target, [true], `a link to ${href}, which is not there`);
  }
}
