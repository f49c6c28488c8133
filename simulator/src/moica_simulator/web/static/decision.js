// The request on the screen: 「確認」 and the finger, 「取消」, and how it ended.

import { byId, call, showProblem } from "./page.js";

const TITLE = { ATH: "身分驗證", SIGN: "簽章確認", NFCSIGN: "簽章確認", BATSIGN: "簽章確認" };
const RETURNS = "moica-simulator.returns";
const TOUCH = "請將手指放在指紋感應器上，以確認是您本人。";

let device = "";
let told = null; // of an ending, and of 「完成」
let opened = null; // the request on the screen
let firstLeft = 1; // seconds that were left when it was opened

export const current = () => opened;

// Where to go back to, a ticket; kept in the tab, since a page may be reloaded in the middle.
const returns = () => JSON.parse(sessionStorage.getItem(RETURNS) ?? "{}");
const secondsLeft = (now) => Math.max(0, Math.ceil((Date.parse(opened.expires_at) - now) / 1000));

export function showRequest(request) {
  opened = request;
  firstLeft = 0;
  if (request.return_url) {
    sessionStorage.setItem(RETURNS, JSON.stringify(
      { ...returns(), [request.sp_ticket_id]: request.return_url }));
  }
  byId("request-title").textContent = TITLE[request.op_code] ?? request.op_code;
  byId("request-sp").textContent = request.sp_name;
  byId("request-hint").textContent = request.hint || "（未提供）";
  closeSheet();
  for (const id of ["confirm", "refuse"]) byId(id).disabled = false;
}

export function tickDecision(now) {
  if (!opened) return;
  const left = secondsLeft(now);
  firstLeft = Math.max(firstLeft, left, 1);
  byId("remaining").textContent = String(left);
  byId("left").value = left / firstLeft;
}

function showResult(mark, title, detail) {
  closeSheet();
  byId("result-mark").textContent = mark;
  byId("result-mark").classList.toggle("bad", mark !== "✓");
  byId("result-title").textContent = title;
  byId("result-detail").textContent = detail;
  const back = returns()[opened.sp_ticket_id];
  byId("return").hidden = !back;
  byId("return").href = back ?? "";
  opened = null;
  told.ended();
}

export function ended(request) {
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
  for (const id of ["confirm", "refuse", "sensor"]) byId(id).disabled = true;
  try {
    const ticket = encodeURIComponent(mine.sp_ticket_id);
    const request = await call("POST", `/devices/${device}/requests/${ticket}/${decision}`);
    if (opened === mine) ended(request);
  } catch (error) {
    if (opened !== mine) return; // its end was seen in the inbox meanwhile
    if (error.code === "SPTKT_OVD") showLapsed(mine, "您按下時已超過時限。");
    else if (await fingerFailed(error)) return;
    else showResult("!", "無法完成", error.message);
  }
}

// A finger that is not taken ends nothing: the sheet stays for another try.
async function fingerFailed(error) {
  const lockedNow = await sensorLocked();
  if (error.code !== "fingerprint_failed" && !lockedNow) return false;
  if (!opened) return true;
  byId("sheet").classList.remove("wrong");
  void byId("sheet").offsetWidth; // or a second shake would not begin
  showSheet(lockedNow, lockedNow ? "失敗太多次，指紋感應器已鎖定。" : "指紋不符，請再試一次。");
  byId("sheet").classList.add("wrong");
  return true;
}

async function sensorLocked() {
  try {
    return (await call("GET", `/devices/${device}`)).state.sensor === "locked";
  } catch {
    return false; // the line is told of elsewhere
  }
}

async function unlockSensor() {
  try {
    await call("POST", `/devices/${device}/unlock`, {});
    byId("sheet").classList.remove("wrong");
    showSheet(false, `已解除鎖定。${TOUCH}`);
  } catch (error) {
    byId("sheet-words").textContent = error.message;
  }
}

function showSheet(lockedNow, words) {
  byId("sheet-title").textContent = "驗證指紋";
  byId("sheet-words").textContent = words;
  byId("sensor").disabled = lockedNow;
  byId("sensor-unlock").hidden = !lockedNow;
  byId("app").inert = true;
  byId("sheet").hidden = false;
  byId(lockedNow ? "sensor-unlock" : "sensor").focus();
}

async function askForFinger() {
  const mine = opened;
  showSheet(false, TOUCH);
  if (await sensorLocked() && opened === mine && !byId("sheet").hidden) {
    showSheet(true, "指紋感應器已鎖定。");
  }
}

function closeSheet() {
  byId("sheet").hidden = true;
  byId("sheet").classList.remove("wrong");
  byId("app").inert = false;
}

function leaveSheet() {
  closeSheet();
  for (const id of ["confirm", "refuse"]) byId(id).disabled = false;
  byId("confirm").focus();
}

export function setUpDecision(id, listener) {
  device = id;
  told = listener;
  byId("confirm").addEventListener("click", askForFinger);
  byId("refuse").addEventListener("click", () => decide("refuse"));
  byId("sensor").addEventListener("click", () => decide("confirm"));
  byId("sensor-unlock").addEventListener("click", unlockSensor);
  byId("sheet-cancel").addEventListener("click", leaveSheet);
  byId("sheet").addEventListener("keydown", (event) => { if (event.key === "Escape") leaveSheet(); });
  byId("done").addEventListener("click", () => { showProblem(null); told.done(); });
}
