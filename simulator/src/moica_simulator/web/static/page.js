// What all pages share. Data from people goes through textContent only.

// What people read; the control API's own words are for programmers, and stand in its answers.
const MESSAGES = {
  OTP_NF: "查無此註冊啟用碼，或已使用過。",
  OTP_EXPIRED: "註冊啟用碼已過期，請重新核發。",
  DEV_LIM_REACHED: "綁定的裝置已達上限，請先取消綁定其中一個。",
  DEVID_DEVPROF_NF: "平臺已不認得這支手機，請重新綁定。",
  DEVID_SPTKT_MISMATCH: "這個要求不是給您的，已經作廢。",
  SPTKT_PLD_FT_ERR: "這不是行動自然人憑證的 QR Code。",
  SPTKT_DIG_FT_ERR: "QR Code 的內容不完整，請重新掃描。",
  SPTKTID_SPTKT_NF: "平臺查無這個要求。",
  SPTKTID_SPTKT_RDM: "這個要求已經處理過了。",
  SPTKT_OVD: "已逾時，請回到原系統重新操作。",
  TGT_INV: "這個要求不能用掃碼的方式處理。",
  PM_INV_SG: "裝置驗證未通過。",
  APP_DECODE_FAIL: "App 無法解讀待簽的內容。",
  APP_DATA_NULL: "沒有待簽的內容。",
  CERT_SIGNDATA_MISMATCH: "簽章與要求的內容不符。",
  fingerprint_failed: "指紋不符，請再試一次。",
  sensor_locked: "指紋感應器已鎖定，請先輸入裝置密碼。",
  card_unknown: "讀不到這張卡片。",
  card_pin_wrong: "PIN 碼不正確；連續錯三次，卡片會鎖住。",
  card_locked: "卡片已鎖住，請先辦理鎖卡解碼。",
  card_expired: "卡片的憑證已過期，請更換卡片。",
  card_revoked: "卡片的憑證已廢止或停用，不能用來註冊。",
  device_offline: "手機在飛航模式，沒有網路。",
  device_bound: "這支手機已經綁定。",
  device_not_bound: "這支手機尚未綁定。",
  device_unknown: "沒有這支手機。",
  request_not_in_inbox: "這支手機沒有收到這個要求。",
  id_number_invalid: "身分證字號的格式或檢查碼不正確。",
  name_invalid: "名稱不可空白、過長或含有控制字元。",
  person_exists: "這個身分證字號已登記為另一個姓名。",
  picture_without_code: "圖片中找不到 QR Code，請拍近一些、拍正，並保留四周的白邊。",
  picture_with_several_codes: "圖片中有多個 QR Code，請只留下一個。",
  picture_unreadable: "這不是 PNG 或 JPEG 圖片，或檔案已損壞。",
  picture_too_large: "圖片太大，請裁剪出 QR Code 的部分再上傳。",
  link_invalid: "這不是行動自然人憑證的 App 連結，或連結不完整。",
};

// The same refusals, said of what was brought to a phone: a QR code, or an app link.
const BROUGHT = {
  DEVID_SPTKT_MISMATCH: "不是給您的，這支手機不能驗證。請本人回到原系統重新產生，用自己的手機操作。",
  SPTKT_PLD_FT_ERR: "不屬於行動自然人憑證，無法驗證。",
  SPTKT_DIG_FT_ERR: "的內容不完整，請再試一次。",
  SPTKTID_SPTKT_NF: "不是這個平臺核發的，無法驗證。",
  SPTKTID_SPTKT_RDM: "已經使用過，請回到原系統重新產生。",
  SPTKT_OVD: "已逾時，請回到原系統重新產生。",
  TGT_INV: "與用途不符，請回到原系統重新產生。",
};

export const byId = (id) => document.getElementById(id);

// Calls the control API. A Blob goes out as it is, anything else as JSON. `subject` is what a
// refusal is said of, e.g. 這個連結. What is thrown has the answer's `code`.
export async function call(method, path, body, subject) {
  const options = { method, headers: {} };
  if (body instanceof Blob) {
    options.headers["Content-Type"] = body.type;
    options.body = body;
  } else if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(`/sim/v1${path}`, options);
  } catch {
    throw new Error("連不到模擬器，請確認它仍在執行。");
  }
  const answer = response.status === 204 ? {} : await response.json();
  if (!response.ok) {
    const { error: code, detail } = answer;
    const said = subject && BROUGHT[code] ? subject + BROUGHT[code] : MESSAGES[code];
    throw Object.assign(new Error(`${said ?? detail ?? "模擬器發生錯誤。"}（${code}）`), { code });
  }
  return answer;
}

// Every item of a list, however many pages it has.
export async function all(path) {
  const items = [];
  let cursor = "";
  do {
    const mark = path.includes("?") ? "&" : "?";
    const page = await call("GET", `${path}${mark}limit=1000&cursor=${cursor}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function showProblem(error) {
  const box = byId("problem");
  box.hidden = !error;
  box.textContent = error ? error.message : "";
  if (error) box.scrollIntoView({ block: "nearest" });
}

// Has `action` take a form's values; what it throws is shown, and the values stay to be mended.
export function onSubmit(id, action) {
  byId(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    // Not by disabling the button, which would take the focus from whoever uses a keyboard.
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    try {
      await action(Object.fromEntries(new FormData(form)));
      form.reset();
      showProblem(null);
    } catch (error) {
      showProblem(error);
    } finally {
      form.ariaBusy = "false";
    }
  });
}

// ROC dates, in Taipei, as the manuals write them: 115/04/24.
export function rocDate(text) {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: "Asia/Taipei", year: "numeric", month: "2-digit", day: "2-digit",
  }).formatToParts(new Date(text));
  const part = (type) => parts.find((each) => each.type === type).value;
  return `${Number(part("year")) - 1911}/${part("month")}/${part("day")}`;
}
