// What both pages share. Data from people goes through textContent only.

export const byId = (id) => document.getElementById(id);

export async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
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
    const problem = new Error(answer.detail ?? "模擬器發生錯誤。");
    problem.code = answer.error;
    throw problem;
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
  box.textContent = error ? (error.code ? `${error.message}（${error.code}）` : error.message) : "";
}

// ROC dates, in Taipei, as the manuals write them: 115/04/24.
export function rocDate(text) {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: "Asia/Taipei", year: "numeric", month: "2-digit", day: "2-digit",
  }).formatToParts(new Date(text));
  const part = (type) => parts.find((each) => each.type === type).value;
  return `${Number(part("year")) - 1911}/${part("month")}/${part("day")}`;
}
