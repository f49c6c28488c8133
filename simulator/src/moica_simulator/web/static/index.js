import { all, byId, call, element, rocDate, showProblem } from "./page.js";

function phoneLink(phone) {
  const item = element("li");
  item.append(element("a", phone.name, { href: `/phone/${encodeURIComponent(phone.id)}` }));
  const until = phone.certificate ? `，憑證至 ${rocDate(phone.certificate.not_after)}` : "";
  item.append(element("span", ` ${phone.platform}${until}`, { class: "small" }));
  return item;
}

function personCard(person, phones) {
  const card = element("article", undefined, { class: "person" });
  card.append(element("h3", person.name), element("p", person.id_number, { class: "id" }));
  const list = element("ul", undefined, { class: "phones" });
  for (const phone of phones) list.append(phoneLink(phone));
  card.append(phones.length ? list : element("p", "沒有綁定的手機", { class: "small" }));
  const code = element("output", "", { class: "code" });
  const button = element("button", "核發註冊啟用碼", { type: "button", class: "plain" });
  button.setAttribute("aria-label", `核發 ${person.name} 的註冊啟用碼`);
  button.addEventListener("click", () => guarded(async () => {
    const path = `/people/${encodeURIComponent(person.id_number)}/activation-codes`;
    const issued = await call("POST", path);
    const alt = `註冊啟用碼 ${issued.code} 的 QR Code`;
    code.replaceChildren(issued.code, element("img", undefined, { src: issued.picture, alt }));
  }));
  card.append(button, code);
  return card;
}

async function refresh() {
  const [people, phones] = await Promise.all([all("/people"), all("/devices")]);
  const cards = people.map((person) =>
    personCard(person, phones.filter((phone) => phone.id_number === person.id_number)));
  byId("people").replaceChildren(...cards);
  byId("nobody").hidden = people.length > 0;
  const unbound = phones.filter((phone) => !phone.bound);
  byId("unbound").replaceChildren(...unbound.map(phoneLink));
  byId("no-unbound").hidden = unbound.length > 0;
}

async function guarded(action) {
  try {
    await action();
    showProblem(null);
  } catch (error) {
    showProblem(error);
  }
}

function onSubmit(id, action) {
  const form = byId(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    guarded(async () => {
      await action(Object.fromEntries(new FormData(form)));
      form.reset();
      await refresh();
    });
  });
}

onSubmit("add-person", (fields) => call("POST", "/people", fields));
onSubmit("add-phone", (fields) => call("POST", "/devices", fields));
guarded(refresh);
