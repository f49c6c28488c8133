// The page `/platform`: what came in, what went out, and why a checksum was wrong.
// Data goes through textContent only; exchanges never change, so one that is shown is kept.

import { all, byId, call, element, showProblem } from "./page.js";
import { explanation } from "./explanation.js";

const PIECE = 20;
const EVERY_MS = 2000;
const STATUS = {
  pending: ["等待確認", "wait"], confirmed: ["已確認", "good"], refused: ["已取消", "bad"],
  lapsed: ["已逾時", "bad"], failed: ["失敗", "bad"],
};
const METHODS = Object.fromEntries([...byId("interface").options].map((option) =>
  [option.value, option.textContent]));

const shown = new Map(); // the list items of exchanges, by number
let systems = [];
let timer = 0;

// A list that is turned newest first: `cursors` are those of the pages before this one.
function turning(path, draw, newer, older) {
  const cursors = [""];
  const list = {
    get first() { return cursors.length === 1; },
    restart() { cursors.splice(1); },
    async load() {
      const page = await call("GET", `${path()}&order=newest&limit=${PIECE}&cursor=${cursors.at(-1)}`);
      draw(page.items);
      byId(newer).disabled = list.first;
      byId(older).disabled = !page.next_cursor;
      byId(older).dataset.cursor = page.next_cursor ?? "";
    },
  };
  byId(newer).addEventListener("click", () => { cursors.pop(); refresh(); });
  byId(older).addEventListener("click", () => { cursors.push(byId(older).dataset.cursor); refresh(); });
  return list;
}

function query() {
  const chosen = new URLSearchParams(new FormData(byId("filter")));
  for (const [name, value] of [...chosen]) if (!value) chosen.delete(name);
  return chosen;
}

const exchanges = turning(() => `/requests?${query()}`, drawExchanges, "newer", "older");
const tickets = turning(() => {
  const sp = byId("sp").value;
  return `/tickets?${sp ? `sp_service_id=${encodeURIComponent(sp)}` : ""}`;
}, drawTickets, "newer-tickets", "older-tickets");

const clockTime = (text) => new Date(text).toLocaleTimeString("zh-TW", {
  timeZone: "Asia/Taipei", hour12: false,
});

function badge(words, kind) {
  return element("span", words, { class: `badge ${kind}` });
}

const systemOf = (id) => systems.find((each) => each.sp_service_id === id)?.name;

// What an answer says in a word: its code, or how the line ended.
function outcome({ answer, http_status: status }) {
  if (status === null) return badge("沒有回覆", "bad");
  const code = answer?.error_code;
  if (code === undefined) return badge(`HTTP ${status}`, status < 400 ? "good" : "bad");
  const bare = String(code).replace(/^SP-API-[A-Z]+-\d+-/, "");
  return badge(bare === "0" ? "0 成功" : bare, bare === "0" ? "good" : waiting(bare) ? "wait" : "bad");
}

const waiting = (code) => ["SPTKTID_TXNLOG_NF", "20002", "20003"].includes(code.split(":")[0]);

function summaryOf(entry) {
  const summary = element("summary");
  const callback = entry.body === null && entry.interface === "SP-API-WEB-01";
  const name = callback ? "WEB-01 回呼 (callback)" : METHODS[entry.interface] ?? entry.interface;
  const id = entry.body?.sp_service_id;
  summary.append(
    element("span", `#${entry.number}`, { class: "number" }),
    element("span", clockTime(entry.at)),
    element("strong", name),
    element("span", systemOf(id) ?? id ?? "", { class: "small" }),
    outcome(entry),
  );
  if (entry.checksum_verified === false) summary.append(badge("檢查碼錯誤", "bad"));
  if (entry.checksum_verified === true) summary.append(badge("檢查碼正確", "good"));
  if (entry.early) summary.append(badge("間隔不到 4 秒", "wait"));
  if (entry.faults.length) summary.append(badge("已套用故障", "wait"));
  return summary;
}

function exchangeItem(entry) {
  const item = element("li");
  const details = element("details");
  details.append(summaryOf(entry));
  let asked = false;
  details.addEventListener("toggle", async () => {
    if (!details.open || asked) return;
    asked = true;
    try {
      const found = await call("GET", `/requests/${entry.number}/explanation`);
      details.append(explanation(entry, found));
    } catch (error) {
      asked = false;
      showProblem(error);
    }
  });
  item.append(details);
  return item;
}

function drawExchanges(items) {
  const wanted = items.map((entry) => {
    if (!shown.has(entry.number)) shown.set(entry.number, exchangeItem(entry));
    return shown.get(entry.number);
  });
  const list = byId("exchanges");
  // Only what is new or gone is touched: an open one keeps its place and the focus.
  for (const old of [...list.children]) if (!wanted.includes(old)) old.remove();
  wanted.forEach((item, place) => {
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  for (const [number, item] of shown) if (!wanted.includes(item)) shown.delete(number);
  byId("no-exchanges").hidden = items.length > 0;
  byId("place").textContent = items.length ? `第 ${items[0].number} 至 ${items.at(-1).number} 筆，新的在前` : "";
}

function row(cells) {
  const made = element("tr");
  for (const [label, content, attributes] of cells) {
    const cell = element("td", undefined, { "data-label": label, ...attributes });
    cell.append(content);
    made.append(cell);
  }
  return made;
}

function drawTickets(items) {
  const rows = items.map((ticket) => {
    const [words, kind] = STATUS[ticket.status];
    const state = badge(words + (ticket.error_code ? ` ${ticket.error_code}` : ""), kind);
    return row([
      ["建立", clockTime(ticket.created_at), { class: "nowrap" }],
      ["狀態", state],
      ["需用機關", ticket.sp_name || ticket.sp_service_id],
      ["作業", `${ticket.op_code}${ticket.op_mode ? ` · ${ticket.op_mode}` : ""}`],
      ["內容", ticket.hint],
      ["持有人", `${ticket.person.name} ${ticket.person.id_number}`],
      ["期限", clockTime(ticket.expires_at), { class: "nowrap" }],
      ["結束", ticket.ended_at ? clockTime(ticket.ended_at) : "—", { class: "nowrap" }],
    ]);
  });
  byId("tickets").querySelector("tbody").replaceChildren(...rows);
  byId("tickets").hidden = !items.length;
  byId("no-tickets").hidden = items.length > 0;
}

function drawSystems() {
  byId("systems").querySelector("tbody").replaceChildren(...systems.map((each) => row([
    ["名稱", each.name],
    ["sp_service_id", element("code", each.sp_service_id)],
    ["callback_url", each.callback_url ?? "—"],
  ])));
  byId("systems").hidden = !systems.length;
  byId("no-systems").hidden = systems.length > 0;
  const known = [...byId("sp").options].map((option) => option.value);
  for (const each of systems) {
    if (!known.includes(each.sp_service_id)) {
      byId("sp").append(element("option", each.name, { value: each.sp_service_id }));
    }
  }
}

async function refresh() {
  clearTimeout(timer);
  try {
    const [found, clock] = await Promise.all([all("/service-providers"), call("GET", "/clock")]);
    systems = found;
    drawSystems();
    byId("time").textContent = clockTime(clock.now);
    await Promise.all([exchanges.load(), tickets.load()]);
    showProblem(null);
  } catch (error) {
    showProblem(error);
  }
  clearTimeout(timer);
  if (byId("live").checked) timer = setTimeout(refresh, EVERY_MS);
}

byId("filter").addEventListener("submit", (event) => event.preventDefault());
byId("filter").addEventListener("change", () => {
  exchanges.restart();
  tickets.restart();
  refresh();
});
refresh();
