import { all, byId, call, element, onSubmit, rocDate, showProblem } from "./page.js";
import { closeCamera, openLink, setUpScan } from "./scan.js";

const device = encodeURIComponent(document.body.dataset.device);
const SCREENS = ["welcome", "activation", "home", "scan", "request", "result"];
const STATUS = {
  pending: "等待確認", confirmed: "已確認", refused: "已取消", lapsed: "已逾時", failed: "失敗",
};
const TITLE = { ATH: "身分驗證", SIGN: "簽章確認", NFCSIGN: "簽章確認" };
const RETURNS = "moica-simulator.returns";

let screen = "";
let phone = null;
let opened = null; // the request on the screen
const seen = new Set(); // requests that were opened here: their notification has gone
let clockAhead = 0; // how far the simulated clock is ahead of this page's, in ms
let lastDeviceCheck = 0;
let shownRecent = "";
let link = ""; // an app link that this page was opened with, until it is followed

const now = () => Date.now() + clockAhead;

function show(name) {
  if (screen === "scan") closeCamera();
  screen = name;
  for (const each of SCREENS) byId(`screen-${each}`).hidden = each !== name;
  byId(`screen-${name}`).querySelector("h2").focus();
}

// Where to go back to, a ticket; kept in the tab, since a page may be reloaded in the middle.
const returns = () => JSON.parse(sessionStorage.getItem(RETURNS) ?? "{}");

function showResult(mark, title, detail) {
  byId("result-mark").textContent = mark;
  byId("result-title").textContent = title;
  byId("result-detail").textContent = detail;
  const back = returns()[opened.sp_ticket_id];
  byId("return").hidden = !back;
  byId("return").href = back ?? "";
  opened = null;
  show("result");
}

function open(request) {
  opened = request;
  seen.add(request.sp_ticket_id);
  if (request.return_url) {
    sessionStorage.setItem(RETURNS, JSON.stringify(
      { ...returns(), [request.sp_ticket_id]: request.return_url }));
  }
  byId("notification").hidden = true;
  byId("request-title").textContent = TITLE[request.op_code] ?? request.op_code;
  byId("request-sp").textContent = request.sp_name;
  byId("request-hint").textContent = request.hint || "（未提供）";
  for (const id of ["confirm", "refuse"]) byId(id).disabled = false;
  showProblem(null);
  tick();
  show("request");
}

async function checkDevice() {
  const [found, clock] = await Promise.all([
    call("GET", `/devices/${device}`), call("GET", "/clock"),
  ]);
  clockAhead = Date.parse(clock.now) - Date.now();
  lastDeviceCheck = Date.now();
  const changed = !phone || phone.bound !== found.bound;
  phone = found;
  if (!changed) return;
  if (!phone.bound) {
    show("welcome");
    return;
  }
  const person = await call("GET", `/people/${encodeURIComponent(phone.id_number)}`);
  byId("holder-name").textContent = `${person.name}，您好`;
  byId("validity").textContent =
    `有效期間 ${rocDate(phone.certificate.not_before)} 至 ${rocDate(phone.certificate.not_after)}`;
  show("home");
}

function showRecent(items) {
  const news = JSON.stringify(items);
  if (news === shownRecent) return; // a button that is replaced each second cannot be pressed
  shownRecent = news;
  byId("no-requests").hidden = items.length > 0;
  byId("recent").replaceChildren(...items.slice(-5).reverse().map((request) => {
    const item = element("li");
    item.append(element("strong", STATUS[request.status]), element("span", request.sp_name),
      element("span", request.hint));
    if (request.status === "pending") {
      const button = element("button", "開啟", { type: "button", class: "plain" });
      button.addEventListener("click", () => open(request));
      item.append(button);
    }
    return item;
  }));
}

async function checkInbox() {
  const items = await all(`/devices/${device}/inbox`);
  showRecent(items);
  const pending = items.filter((request) => request.status === "pending");
  const news = pending.findLast((request) => !seen.has(request.sp_ticket_id));
  const box = byId("notification");
  box.hidden = !news;
  if (news) {
    byId("notification-sp").textContent = news.sp_name;
    byId("notification-hint").textContent = news.hint;
    box.onclick = () => open(news);
  }
  const mine = items.find((request) => request.sp_ticket_id === opened?.sp_ticket_id);
  if (screen === "request" && mine && mine.status !== "pending") ended(mine);
}

function ended(request) {
  if (request.status === "confirmed") {
    showResult("✓", "驗證成功", `${request.sp_name}：${request.hint}`);
  } else if (request.status === "refused") {
    showResult("✕", "您已取消", "原系統會收到您已取消的訊息。");
  } else if (request.status === "lapsed") {
    showLapsed(request, "在時限內沒有確認。");
  } else {
    showResult("!", "無法完成", "請回到原系統重新操作。");
  }
}

function showLapsed({ op_code: code }, why) {
  const lost = code === "ATH" ? "驗證未送出" : "簽章未送出";
  showResult("!", `已逾時，${lost}`, `${why}請回到原系統重新操作。`);
}

async function decide(decision) {
  const mine = opened;
  for (const id of ["confirm", "refuse"]) byId(id).disabled = true;
  try {
    const ticket = encodeURIComponent(mine.sp_ticket_id);
    const request = await call("POST", `/devices/${device}/requests/${ticket}/${decision}`);
    if (opened === mine) ended(request);
  } catch (error) {
    if (opened !== mine) return; // its end was seen in the inbox meanwhile
    if (error.code === "SPTKT_OVD") showLapsed(mine, "您按下時已超過時限。");
    else showResult("!", "無法完成", error.message);
  }
}

function tick() {
  byId("time").textContent = new Date(now()).toLocaleTimeString("zh-TW", {
    hour: "2-digit", minute: "2-digit", hour12: false,
  });
  if (!opened) return;
  const left = Math.max(0, Math.ceil((Date.parse(opened.expires_at) - now()) / 1000));
  byId("remaining").textContent = String(left);
}

// `#link=<percent-encoded app link>`, which goes to no server and is taken out of the history.
function takeLink() {
  if (!location.hash.startsWith("#link=")) return;
  try {
    link = decodeURIComponent(location.hash.slice("#link=".length));
  } catch {
    link = location.hash; // none; the simulator says what it expects
  }
  history.replaceState(null, "", location.pathname);
}

async function followLink() {
  const url = link;
  link = "";
  try {
    await openLink(url);
  } catch (error) {
    showProblem(error);
  }
}

async function poll() {
  try {
    if (!phone || Date.now() - lastDeviceCheck > 5000) await checkDevice();
    if (link) await followLink();
    if (phone.bound) await checkInbox();
    if (byId("problem").dataset.line) showProblem(null);
    delete byId("problem").dataset.line;
  } catch (error) {
    showProblem(error);
    byId("problem").dataset.line = "1";
  }
  tick();
  setTimeout(poll, 1000);
}

onSubmit("bind", async ({ code }) => {
  await call("POST", `/devices/${device}/bind`, { activation_code: code.trim() });
  await checkDevice();
});
byId("choose-code").addEventListener("click", () => show("activation"));
for (const button of document.querySelectorAll("[data-go]")) {
  button.addEventListener("click", () => { showProblem(null); show(button.dataset.go); });
}
byId("confirm").addEventListener("click", () => decide("confirm"));
byId("refuse").addEventListener("click", () => decide("refuse"));
byId("done").addEventListener("click", () => show("home"));
setUpScan(device, open);
addEventListener("hashchange", takeLink);
takeLink();
poll();
