"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const SIZE = 50;
  const LETTERS = {p: "pass", f: "fail", u: "unknown", n: "not-applicable"};
  const SEVERITIES = ["critical", "high", "medium", "low"];
  const KINDS = {vm: "VM", item: "backup item", policy: "backup policy", vault: "vault"};
  const FILTERS = ["outcome", "severity", "rule", "kind", "subscription", "location", "exempt", "baseline"];
  const LINKABLE = /^\/subscriptions\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\/resourceGroups\/[A-Za-z0-9_.()-]{1,90}\/providers\/Microsoft\.(?:Compute\/virtualMachines|RecoveryServices\/vaults)\/[A-Za-z0-9_.-]{1,80}(?=\/|$)/i;

  // Light or dark: what the system says, until somebody says otherwise.
  const dark = () => (document.documentElement.dataset.theme
    || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const theme = $("theme");
  const relabel = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    relabel();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", relabel);
  relabel();
  theme.hidden = false;

  function notice(text) {
    $("explore-notice").textContent = text;
    $("explore-notice").hidden = false;
  }

  async function unpack() {
    const packed = atob($("explore-data").textContent);
    const bytes = new Uint8Array(packed.length);
    for (let k = 0; k < packed.length; k++) bytes[k] = packed.charCodeAt(k);
    const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Response(inflated).json();
  }

  // Columns, as the page's maker describes them.
  const at = (column, k) => (column.v ? column.v[k] : column.d[column.i ? column.i[k] : 0]);
  const distinct = (column) => column.v || column.d;

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  const upper = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

  const kinds = {};
  const subscriptionNames = new Map();
  let exemptions = {};
  let rules = [];
  let total = 0;
  let rowRule, rowPlace, rowLetter;  // a verdict each, the worst first
  let state = {};
  let shown = new Uint32Array(0);
  let answered = "";  // what the verdicts shown are the answer to
  let opener = null;
  let waiting;  // for the end of a word that is being typed

  class Kind {
    constructor(name, stored) {
      Object.assign(this, stored, {kind: name, texts: null, ids: new Map()});
      for (const key of ["name", "group", "subscription", "location", "source"]) {
        if ("same" in this[key]) this[key] = this.id[this[key].same];
      }
    }
    idOf(k) { return this.id.map((column) => at(column, k)).filter((part) => part !== null).join("/"); }
    text(k) {
      this.texts ||= Array.from({length: this.count}, (_, n) => [at(this.name, n), at(this.group, n),
        at(this.subscription, n), subscriptionNames.get(at(this.subscription, n)), at(this.location, n)].join("\n").toLowerCase());
      return this.texts[k];
    }
  }

  class Rule {
    constructor(stored) {
      Object.assign(this, stored);
      const places = [];
      if (this.at) places.push(...this.at);
      else if (this.findings) {
        for (let k = 0; k < this.letters.length; k++) if (this.letters[k] === "f" || this.letters[k] === "u") places.push(k);
      }
      this.places = places;
      const article = $("rule-" + this.id);
      this.title = article ? article.querySelector("h3").textContent : this.id;
      this.messages = null;
    }
    // What the page says of the rule further down: how to fix it, where it applies, what it requires.
    part(name) {
      const found = document.querySelector(`#rule-${CSS.escape(this.id)} .${name}`);
      return found ? found.textContent : "";
    }
    // The row of a verdict's finding, by binary search; -1 where there is none.
    find(place) {
      let low = 0, high = this.places.length - 1;
      while (low <= high) {
        const middle = (low + high) >> 1;
        if (this.places[middle] === place) return middle;
        if (this.places[middle] < place) low = middle + 1; else high = middle - 1;
      }
      return -1;
    }
    text(column, row) {
      return at(column, row).replace(/[\x01-\x0a]/g, (mark) => at(this.findings.evidence[mark.charCodeAt(0) - 1].value, row));
    }
    said(name, row) { return row < 0 ? "" : this.text(this.findings[name], row); }
    lower(row) {
      this.messages ||= this.places.map((_, n) => this.text(this.findings.message, n).toLowerCase());
      return this.messages[row];
    }
  }

  function load(data) {
    for (const [id, name] of Object.entries(data.subscriptions)) subscriptionNames.set(id, name);
    exemptions = data.exemptions;
    for (const [name, stored] of Object.entries(data.kinds)) kinds[name] = new Kind(name, stored);
    rules = data.rules.map((stored) => new Rule(stored));
    for (const rule of rules) total += rule.letters.length;
    rowRule = new Uint16Array(total);
    rowPlace = new Uint32Array(total);
    rowLetter = new Uint8Array(total);
    let row = 0;
    for (const letter of "fupn") {
      const code = letter.charCodeAt(0);
      rules.forEach((rule, number) => {
        const letters = rule.letters;
        for (let k = letters.indexOf(letter); k >= 0; k = letters.indexOf(letter, k + 1)) {
          rowRule[row] = number; rowPlace[row] = k; rowLetter[row++] = code;
        }
      });
    }
  }

  function options(id, pairs) {
    for (const [value, label] of pairs) {
      const option = element("option", label);
      option.value = value;
      $(id).append(option);
    }
  }

  function fill() {
    const all = (key) => [...new Set(Object.values(kinds).flatMap((kind) => distinct(kind[key])))].filter((text) => text).sort();
    options("explore-severity", SEVERITIES.filter((word) => rules.some((rule) => rule.severity === word)).map((word) => [word, word]));
    options("explore-rule", rules.map((rule) => [rule.id, rule.id]));
    options("explore-kind", Object.keys(kinds).map((kind) => [kind, KINDS[kind] || kind]));
    options("explore-location", all("location").map((text) => [text, text]));
    options("explore-subscription", all("subscription").map((id) => [id, subscriptionNames.get(id) || id])
      .sort((one, other) => (one[1] < other[1] ? -1 : 1)));
  }

  // What is chosen, in the address: #explore?outcome=fail&q=sql&sort=-name&page=2&open=RULE|ID
  function parse(hash) {
    const found = {};
    for (const [key, value] of new URLSearchParams(hash.split("?")[1] || "")) if (value) found[key] = value;
    return found;
  }
  const address = (wanted) => {
    const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value)).toString();
    return "#explore" + (query ? "?" + query : "");
  };
  function go(changes, replace) {
    clearTimeout(waiting);
    const wanted = {...state, q: $("explore-q").value.trim(), ...changes};
    history[replace ? "replaceState" : "pushState"](null, "", address(wanted));
    apply(wanted);
  }

  function apply(wanted) {
    state = wanted;
    $("explore-q").value = state.q || "";
    for (const key of FILTERS) if ($("explore-" + key)) $("explore-" + key).value = state[key] || "";
    const asked = JSON.stringify([state.q, state.sort, ...FILTERS.map((key) => state[key])]);
    if (asked !== answered) shown = sorted(filter());
    answered = asked;
    paint();
    show(state.open);
  }

  function filter() {
    const words = (state.q || "").toLowerCase().split(/\s+/).filter((word) => word);
    const codes = state.outcome ? new Set(state.outcome.split(",").map((word) => word.charCodeAt(0))) : null;
    const judges = rules.map((rule) => (!state.severity || rule.severity === state.severity)
      && (!state.rule || rule.id === state.rule) && (!state.kind || rule.kind === state.kind));
    const masks = {};  // by kind: which resources are meant
    const hits = {};   // by kind: for each word, which resources have it
    for (const [name, kind] of Object.entries(kinds)) {
      const meant = (k) => (!state.subscription || at(kind.subscription, k) === state.subscription)
        && (!state.location || at(kind.location, k) === state.location);
      masks[name] = state.subscription || state.location ? Uint8Array.from({length: kind.count}, (_, k) => meant(k)) : null;
      hits[name] = words.map((word) => Uint8Array.from({length: kind.count}, (_, k) => kind.text(k).includes(word)
        || (word.includes("/") && kind.idOf(k).toLowerCase().includes(word))));
    }
    const ruleHits = rules.map((rule) => words.map((word) => (rule.id + "\n" + rule.title).toLowerCase().includes(word)));
    const kept = new Uint32Array(total);
    let count = 0;
    for (let row = 0; row < total; row++) {
      const number = rowRule[row];
      if (!judges[number] || (codes && !codes.has(rowLetter[row]))) continue;
      const rule = rules[number], place = rowPlace[row], mask = masks[rule.kind];
      if (mask && !mask[place]) continue;
      let found = -2;  // not looked for yet
      if (state.exempt || state.baseline) {
        found = rule.find(place);
        const exempt = found >= 0 && at(rule.findings.exemption, found) !== null;
        if (state.exempt && exempt !== (state.exempt === "yes")) continue;
        if (state.baseline && (found < 0 || at(rule.findings.baseline, found) !== state.baseline)) continue;
      }
      let all = true;
      for (let k = 0; all && k < words.length; k++) {
        if (hits[rule.kind][k][place] || ruleHits[number][k]) continue;
        if (found === -2) found = rule.find(place);
        all = found >= 0 && rule.lower(found).includes(words[k]);
      }
      if (all) kept[count++] = row;
    }
    return kept.subarray(0, count);
  }

  // A number for each text, by which rows can be sorted without comparing texts again.
  function ranks(key) {
    const texts = new Set(Object.values(kinds).flatMap((kind) => distinct(kind[key])));
    const ordered = [...texts].map((text) => [(subscriptionNames.get(text) || text || "").toLowerCase(), text]);
    ordered.sort((one, other) => (one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0));
    const rank = new Map();
    let number = 0;
    ordered.forEach(([lower, text], k) => {
      if (k && ordered[k - 1][0] !== lower) number = k;
      rank.set(text, number);
    });
    const numbers = {};
    for (const [name, kind] of Object.entries(kinds)) {
      numbers[name] = Uint32Array.from({length: kind.count}, (_, k) => rank.get(at(kind[key], k)));
    }
    return numbers;
  }

  function sorted(rows) {
    const sort = state.sort || "", down = sort.startsWith("-"), key = sort.replace("-", "");
    if (!key) return rows;
    let rankOf;
    if (key === "outcome") rankOf = (row) => "fupn".indexOf(String.fromCharCode(rowLetter[row]));
    else if (key === "severity") rankOf = (row) => SEVERITIES.indexOf(rules[rowRule[row]].severity);
    else if (key === "rule") {
      const order = rules.map((rule) => rule.id).sort();
      const numbers = rules.map((rule) => order.indexOf(rule.id));
      rankOf = (row) => numbers[rowRule[row]];
    } else if (["name", "group", "subscription", "location"].includes(key)) {
      const numbers = ranks(key);
      const byRule = rules.map((rule) => numbers[rule.kind]);
      rankOf = (row) => byRule[rowRule[row]][rowPlace[row]];
    } else return rows;
    // Rank and place in one number: sorting numbers is what browsers do fast, and it keeps the order of equals.
    const most = 2 ** 22, keys = new Float64Array(rows.length);
    for (let k = 0; k < rows.length; k++) keys[k] = (down ? most - rankOf(rows[k]) : rankOf(rows[k])) * total + rows[k];
    keys.sort();
    return Uint32Array.from(keys, (number) => number % total);
  }

  const number = (count) => count.toLocaleString("en-US");

  function paint() {
    const pages = Math.max(1, Math.ceil(shown.length / SIZE));
    const page = Math.min(pages, Math.max(1, parseInt(state.page, 10) || 1));
    const first = (page - 1) * SIZE, last = Math.min(shown.length, page * SIZE);
    $("explore-count").textContent = shown.length
      ? `${number(first + 1)}–${number(last)} of ${number(shown.length)} verdicts` + (shown.length < total ? `, out of ${number(total)}` : "")
      : `No verdict is like that, out of ${number(total)}`;
    $("explore-page").value = page;
    $("explore-page").max = pages;
    $("explore-of").textContent = `of ${number(pages)}`;
    $("explore-prev").disabled = page <= 1;
    $("explore-next").disabled = page >= pages;
    $("explore-csv").disabled = !shown.length;
    for (const button of document.querySelectorAll("[data-sort]")) {
      const sort = state.sort || "";
      const mine = sort.replace("-", "") === button.dataset.sort;
      button.parentElement.setAttribute("aria-sort", !mine ? "none" : sort.startsWith("-") ? "descending" : "ascending");
    }
    const body = document.createDocumentFragment();
    for (let k = first; k < last; k++) body.append(line(shown[k]));
    $("explore-table").tBodies[0].replaceChildren(body);
  }

  function line(row) {
    const rule = rules[rowRule[row]], place = rowPlace[row], kind = kinds[rule.kind];
    const outcome = LETTERS[String.fromCharCode(rowLetter[row])];
    const found = rule.find(place);
    const tr = element("tr");
    const word = element("td", outcome.replace("-", " "), outcome);
    if (found >= 0 && at(rule.findings.exemption, found) !== null) word.append(" ", element("span", "exempt", "exempt"));
    if (found >= 0 && at(rule.findings.baseline, found) === "new") word.append(" ", element("span", "new", "new"));
    const about = element("td", rule.id);
    if (found >= 0) about.append(element("br"), element("span", upper(rule.said("message", found)), "soft"));
    const name = element("td"), open = element("button", at(kind.name, place), "open");
    if (!open.textContent.trim()) open.setAttribute("aria-label", "resource without a name");
    open.type = "button";
    open.addEventListener("click", () => {
      opener = rule.id + "|" + kind.idOf(place);
      go({open: opener});
    });
    open.dataset.open = rule.id + "|" + kind.idOf(place);
    name.append(open);
    const subscription = at(kind.subscription, place);
    tr.append(word, element("td", rule.severity, "severity-" + rule.severity), about, name, element("td", at(kind.group, place)),
      element("td", subscriptionNames.get(subscription) || subscription), element("td", at(kind.location, place)));
    return tr;
  }

  // One verdict, with everything that is known of it.
  function show(wanted) {
    const dialog = $("verdict");
    if (!wanted) {
      if (dialog.open) dialog.close();
      return;
    }
    const bar = wanted.indexOf("|"), rule = rules.find((one) => one.id === wanted.slice(0, bar)), id = wanted.slice(bar + 1);
    const kind = rule && kinds[rule.kind];
    const place = kind ? placeOf(kind, id) : -1;
    if (place < 0) {
      if (dialog.open) dialog.close();
      return;
    }
    const outcome = LETTERS[rule.letters[place]], found = rule.find(place);
    $("verdict-title").replaceChildren(element("span", outcome.replace("-", " "), "mark " + outcome), " " + at(kind.name, place));
    const facts = element("dl");
    const fact = (label, content) => {
      if (content === "" || content === null || content === undefined) return;
      const value = element("dd");
      value.append(content);
      facts.append(element("dt", label), value);
    };
    const about = element("a", rule.id);
    about.href = "#rule-" + rule.id;
    const titled = element("span");
    titled.append(about, ` (${rule.severity}): ${rule.title}`);
    fact("Rule", titled);
    if (found >= 0) fact("Verdict", upper(rule.said("message", found)));
    else if (outcome === "pass") fact("Verdict", "The facts were read, and they are as the rule requires. This file holds the evidence of findings only.");
    else if (outcome === "not-applicable") fact("Verdict", "Not judged: the rule does not apply to it, or it is out of scope.");
    else fact("Verdict", "Its evidence is in report.json.");
    if (found >= 0) {
      fact("Expected", rule.said("expected", found));
      fact("Observed", rule.said("observed", found));
      fact("Baseline", at(rule.findings.baseline, found));
      const exemption = at(rule.findings.exemption, found);
      if (exemption !== null) fact("Exempt", exemption + ": " + exemptions[exemption]);
    }
    if (found < 0) {
      fact("Applies", rule.part("applies"));
      fact("Requires", rule.part("requires"));
    }
    const identity = element("span"), link = LINKABLE.exec(id);
    identity.append(element("code", id));
    if (link && (link[0].length === id.length || /vaults/i.test(link[0]))) {
      const portal = element("a", link[0].length === id.length ? "in the portal" : "the vault in the portal", "portal");
      portal.href = "https://portal.azure.com/#resource" + link[0];
      portal.rel = "noreferrer noopener";
      identity.append(" ", portal);
    }
    fact((KINDS[kind.kind] || kind.kind).replace(/^b/, "B").replace(/^v/, "V"), identity);
    const subscription = at(kind.subscription, place);
    fact("Group", at(kind.group, place));
    fact("Subscription", subscriptionNames.has(subscription) ? subscriptionNames.get(subscription) + ", " + subscription : subscription);
    fact("Region", at(kind.location, place));
    fact("Listed in", at(kind.source, place));
    const parts = [facts];
    if (found >= 0) parts.push(element("h3", "Evidence"), evidence(rule, found));
    const fix = rule.part("fix");
    if (fix && (outcome === "fail" || outcome === "unknown")) parts.push(element("h3", "What to do"), element("p", fix));
    $("verdict-body").replaceChildren(...parts);
    if (!dialog.open) dialog.showModal();
  }

  function placeOf(kind, id) {
    const segments = id.split("/"), last = segments.length - 1;
    for (let k = 0; k < kind.count; k++) {
      if (at(kind.id[last] || kind.id[0], k) === segments[last] && kind.idOf(k) === id) return k;
    }
    return -1;
  }

  function evidence(rule, found) {
    const scroll = element("div", null, "scroll"), table = element("table"), head = element("tr");
    for (const label of ["Field", "Value", "Expected", "From, or why not known"]) {
      const th = element("th", label);
      th.scope = "col";
      head.append(th);
    }
    table.append(element("thead"), element("tbody"));
    table.tHead.append(head);
    rule.findings.fields.forEach((field, k) => {
      const columns = rule.findings.evidence[k], value = at(columns.value, found), reason = at(columns.reason, found);
      const source = at(columns.source, found);
      if (at(columns.expected, found) === null) return;
      const tr = element("tr"), th = element("th", field);
      th.scope = "row";
      tr.append(th, element("td", value === null ? (reason ? "not known" : "not there") : value, value === null ? "soft" : ""),
        element("td", at(columns.expected, found)), element("td", source && reason ? source + ": " + reason : source || reason));
      table.tBodies[0].append(tr);
    });
    scroll.append(table);
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", "Table of evidence");
    return scroll;
  }

  // The same columns as the .csv report has, but for the fingerprint; no cell can be taken for a formula.
  function csv() {
    const cell = (text) => {
      const safe = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/.test(text) ? "'" + text : text;
      return /[",\r\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
    };
    const parts = ["\ufeffrule,resource_id,outcome,severity,exempt,message,kind,name,subscription,resource_group,location,expected,observed,source\r\n"];
    for (let start = 0; start < shown.length; start += 10000) {
      const lines = [];
      for (const row of shown.subarray(start, start + 10000)) {
        const rule = rules[rowRule[row]], place = rowPlace[row], kind = kinds[rule.kind], found = rule.find(place);
        const exempt = found >= 0 && at(rule.findings.exemption, found) !== null;
        lines.push([rule.id, kind.idOf(place), LETTERS[String.fromCharCode(rowLetter[row])], rule.severity, String(exempt),
          rule.said("message", found), rule.kind, at(kind.name, place), at(kind.subscription, place), at(kind.group, place),
          at(kind.location, place), rule.said("expected", found), rule.said("observed", found), at(kind.source, place)]
          .map((text) => cell(text === null ? "" : text)).join(",") + "\r\n");
      }
      parts.push(lines.join(""));
    }
    const link = element("a");
    link.href = URL.createObjectURL(new Blob(parts, {type: "text/csv;charset=utf-8"}));
    link.download = "verdicts.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function listen() {
    $("explore-q").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => go({page: ""}, true), 150);
    });
    for (const key of FILTERS) {
      if ($("explore-" + key)) $("explore-" + key).addEventListener("change", (event) => go({[key]: event.target.value, page: ""}));
    }
    $("explore-reset").addEventListener("click", () => {
      history.pushState(null, "", "#explore");
      apply({});
    });
    $("explore-csv").addEventListener("click", csv);
    const turn = (by) => {
      go({page: String((parseInt($("explore-page").value, 10) || 1) + by)});
      $("explore-count").scrollIntoView({block: "nearest"});
    };
    $("explore-prev").addEventListener("click", () => turn(-1));
    $("explore-next").addEventListener("click", () => turn(1));
    $("explore-page").addEventListener("change", () => turn(0));
    for (const button of document.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => {
        const key = button.dataset.sort;
        go({sort: state.sort === key ? "-" + key : state.sort === "-" + key ? "" : key, page: ""});
      });
    }
    const dialog = $("verdict");
    dialog.addEventListener("close", () => {
      if (state.open) go({open: ""}, true);
      const button = [...document.querySelectorAll("button.open")].find((one) => one.dataset.open === opener);
      if (button) button.focus();
      opener = null;
    });
    $("verdict-close").addEventListener("click", () => dialog.close());
    $("verdict-body").addEventListener("click", (event) => {
      const link = event.target.closest("a[href^='#']");
      if (link) { opener = null; state.open = ""; dialog.close(); }
    });
    $("verdict-copy").addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(state.open.slice(state.open.indexOf("|") + 1));
        $("verdict-copy").textContent = "Copied";
      } catch {
        getSelection().selectAllChildren($("verdict-body").querySelector("code"));
        $("verdict-copy").textContent = "Selected: copy it";
      }
      setTimeout(() => { $("verdict-copy").textContent = "Copy the id"; }, 2000);
    });
    // Numbers all over the page lead here, with a filter.
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-explore]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      history.pushState(null, "", "#explore?" + link.dataset.explore);
      apply(parse("?" + link.dataset.explore));
      $("explore").scrollIntoView();
      $("explore-outcome").focus({preventScroll: true});
    });
    const moved = () => {
      if (location.hash.startsWith("#explore") || !location.hash) apply(parse(location.hash));
      if (!location.hash.startsWith("#explore") && $("explore").contains(document.activeElement)) document.activeElement.blur();
    };
    addEventListener("popstate", moved);
  }

  async function start() {
    if (typeof DecompressionStream === "undefined") {
      notice("This browser is too old to open the embedded verdicts (it has no DecompressionStream). All of them are in report.json.");
      return;
    }
    try {
      load(await unpack());
    } catch {
      notice("The embedded verdicts are damaged and cannot be opened. Make the report again, or use report.json.");
      return;
    }
    for (const part of document.querySelectorAll(".needs-script")) part.hidden = false;
    for (const link of document.querySelectorAll("a[data-explore]")) link.href = "#explore?" + link.dataset.explore;
    fill();
    listen();
    $("explore").hidden = false;
    apply(location.hash.startsWith("#explore") ? parse(location.hash) : {});
    if (location.hash.startsWith("#explore")) $("explore").scrollIntoView();
  }
  start();
})();
