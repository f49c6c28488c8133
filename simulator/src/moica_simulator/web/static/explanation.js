// One exchange, opened: what each checksum has to cover, what came, and what is wrong about it.

import { element } from "./page.js";

export function explanation(entry, found) {
  const sides = element("div", undefined, { class: "sides" });
  if (entry.body !== null) {
    sides.append(side(entry.number, "要求", "sp_checksum", entry.body, found.request));
  }
  if (entry.answer !== null) {
    const title = entry.body === null ? "送出的表單" : "回覆";
    sides.append(side(entry.number, title, "idp_checksum", entry.answer, found.answer));
  }
  return sides;
}

function side(number, title, name, sent, told) {
  const whose = `第 ${number} 筆${title}`;
  const made = element("section", undefined, { class: "side" });
  made.append(element("h3", title));
  if (told) {
    made.append(verdict(name, told));
    if (told.payload !== null) made.append(...covered(whose, name, told));
  } else {
    made.append(element("p", without(name), { class: "small" }));
  }
  made.append(element("h4", "JSON 本文"), block(JSON.stringify(sent, null, 2), `${whose}的 JSON 本文`));
  return made;
}

const without = (name) => (name === "sp_checksum"
  ? "無法說明檢查碼：平臺不認得這個 sp_service_id。"
  : "這個回覆沒有 idp_checksum。");

function verdict(name, told) {
  const box = element("div", undefined, { class: told.right ? "verdict" : "verdict bad" });
  if (told.right) {
    box.append(element("p", `✓ ${name} 正確`));
    return box;
  }
  box.append(element("p", told.diagnoses.length > 1
    ? `✕ ${name} 錯誤，可能是以下其中一種：` : `✕ ${name} 錯誤：`));
  const list = element("ul");
  for (const diagnosis of told.diagnoses) {
    const item = element("li", `${diagnosis.map(said).join("；並且")}。`);
    item.append(element("span", `${diagnosis.map((each) => each.en).join("; and ")}.`, { lang: "en" }));
    list.append(item);
  }
  box.append(list);
  return box;
}

const said = (mistake) => (mistake.sure || mistake.name === "unknown" || mistake.name === "not_opened"
  ? mistake.zh : `（推測）${mistake.zh}`);

function covered(whose, name, told) {
  const fields = element("table", undefined, { class: "list fields" });
  const head = element("tr");
  for (const words of ["序", "欄位", "值"]) head.append(element("th", words, { scope: "col" }));
  fields.append(element("thead"), element("tbody"));
  fields.tHead.append(head);
  told.fields.forEach(({ name: field, value }, place) => {
    const row = element("tr");
    const shown = element("td");
    shown.append(value === null ? element("span", "（空字串）", { class: "small" }) : value);
    row.append(element("td", String(place + 1)), element("td", field), shown);
    fields.tBodies[0].append(row);
  });
  const compare = element("dl", undefined, { class: "compare" });
  const inside = told.inside ?? (told.sent ? "（解不開）" : "（沒有送出）");
  const same = told.inside === told.payload_sha256;
  compare.append(
    element("dt", "應有的雜湊值"), code(told.payload_sha256),
    element("dt", `${name} 解開`), code(inside, same ? "same" : "other"),
  );
  if (told.sent) compare.append(element("dt", name), code(told.sent));
  return [
    element("h4", "依序串接的欄位"), fields,
    element("h4", "串接後的內容（中間不放任何東西，UTF-8）"), block(told.payload, `${whose}串接後的內容`),
    element("h4", "SHA-256（小寫十六進位文字，加密的就是它）"), compare,
  ];
}

function code(text, kind) {
  const made = element("dd");
  made.append(element("code", text, kind ? { class: kind } : {}));
  return made;
}

// It may scroll, so that it has to be reached by keys.
function block(text, label) {
  return element("pre", text, { tabindex: "0", role: "region", "aria-label": label });
}
