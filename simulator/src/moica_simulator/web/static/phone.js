// The phone: lock screen, the app's screens, and what arrives. What the holder decides about a
// request is in `decision.js`, how one is scanned in `scan.js`, how the phone is bound in `bind.js`.

import { setUpBinding } from "./bind.js";
import { current, ended, setUpDecision, showRequest, tickDecision } from "./decision.js";
import { all, byId, call, element, rocDate, showProblem } from "./page.js";
import { closeCamera, openLink, setUpScan } from "./scan.js";

const device = encodeURIComponent(document.body.dataset.device);
const SCREENS = [
  "welcome", "activation", "nfc", "home", "unbind", "about", "scan", "request", "result",
];
const STATUS = {
  pending: "等待確認", confirmed: "已確認", refused: "已取消", lapsed: "已逾時", failed: "失敗",
};

let screen = "welcome";
let locked = true;
let fromLock = false; // whether the request on the screen was opened from the lock screen
let phone = null;
const seen = new Set(); // requests that were opened here: their notification has gone
let clockAhead = 0; // how far the simulated clock is ahead of this page's, in ms
let clockStands = null; // where a frozen one stands, so that no countdown runs
let lastDeviceCheck = 0;
let shownRecent = "";
let link = ""; // an app link that this page was opened with, until it is followed

const now = () => clockStands ?? Date.now() + clockAhead;

function show(name) {
  if (screen === "scan") closeCamera();
  screen = name;
  for (const each of SCREENS) byId(`screen-${each}`).hidden = each !== name;
  if (!locked) byId(`screen-${name}`).querySelector("h2").focus();
}

function setLocked(yes) {
  locked = yes;
  byId("phone").classList.toggle("locked", yes);
  byId("lock").hidden = !yes;
  byId("app").hidden = yes;
  byId(yes ? "lock-notices" : "app-notices").prepend(byId("notification"));
}

function lock() {
  closeCamera();
  setLocked(true);
  byId("unlock").focus();
}

function open(request) {
  fromLock = locked;
  seen.add(request.sp_ticket_id);
  byId("notification").hidden = true;
  setLocked(false);
  showProblem(null);
  showRequest(request);
  tick();
  show("request");
}

async function checkDevice() {
  const [found, clock] = await Promise.all([
    call("GET", `/devices/${device}`), call("GET", "/clock"),
  ]);
  clockAhead = Date.parse(clock.now) - Date.now();
  clockStands = clock.frozen ? Date.parse(clock.now) : null;
  lastDeviceCheck = Date.now();
  const changed = !phone || phone.bound !== found.bound;
  const renewed = phone?.certificate?.serial !== found.certificate?.serial;
  phone = found;
  byId("signal").textContent = found.state.network === "airplane" ? "✈ 飛航" : "5G ▮▮▮";
  byId("about-platform").textContent = found.platform;
  byId("about-serial").textContent = found.certificate?.serial ?? "尚未註冊";
  if (phone.bound && (changed || renewed)) {
    const person = await call("GET", `/people/${encodeURIComponent(phone.id_number)}`);
    byId("holder-name").textContent = `${person.name}，您好`;
    byId("validity").textContent =
      `有效期間 ${rocDate(phone.certificate.not_before)} 至 ${rocDate(phone.certificate.not_after)}`;
  }
  if (changed) show(phone.bound ? "home" : "welcome");
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

function showNotices(pending) {
  const waiting = pending.filter((request) => !seen.has(request.sp_ticket_id));
  const news = waiting.at(-1);
  const box = byId("notification");
  box.hidden = !news;
  byId("more-notices").hidden = waiting.length < 2;
  byId("more-notices").textContent = `另有 ${waiting.length - 1} 則要求，解鎖後可在 App 中查看。`;
  if (!news) return;
  byId("notification-sp").textContent = news.sp_name;
  byId("notification-hint").textContent = news.hint;
  box.onclick = () => open(news);
}

async function checkInbox() {
  const items = await all(`/devices/${device}/inbox`);
  showRecent(items);
  showNotices(items.filter((request) => request.status === "pending"));
  const mine = items.find((request) => request.sp_ticket_id === current()?.sp_ticket_id);
  if (mine && mine.status !== "pending") ended(mine);
}

function tick() {
  const at = new Date(now());
  const time = { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: "Asia/Taipei" };
  const text = at.toLocaleTimeString("zh-TW", time);
  byId("time").textContent = text;
  byId("clock").textContent = text;
  byId("date").textContent = at.toLocaleDateString("zh-TW", {
    month: "long", day: "numeric", weekday: "long", timeZone: "Asia/Taipei",
  });
  tickDecision(now());
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
  setLocked(false);
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

document.body.classList.toggle("embedded", window !== window.top);
setLocked(true);
byId("unlock").addEventListener("click", () => {
  setLocked(false);
  show(screen);
});
byId("lock-button").addEventListener("click", lock);
for (const button of document.querySelectorAll("[data-go]")) {
  button.addEventListener("click", () => { showProblem(null); show(button.dataset.go); });
}
byId("about-back").addEventListener("click", () => show(phone?.bound ? "home" : "welcome"));
setUpDecision(device, {
  ended: () => show("result"),
  done: () => {
    show("home");
    if (fromLock) lock();
    checkInbox().catch(showProblem); // or the list would be old for a second
  },
});
setUpBinding(device, checkDevice);
setUpScan(device, open);
addEventListener("hashchange", takeLink);
takeLink();
poll();
