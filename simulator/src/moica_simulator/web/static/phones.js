// Several phones beside each other, each the page `/phone/{device}` in a frame of its own, so that
// each is live by itself. `?device=a&device=b` chooses; without it, as many as fit in one row.

import { all, byId, element, showProblem } from "./page.js";

const WIDTH = 416; // of a phone with what is between, in CSS pixels
const EVERY_MS = 5000;

const stands = new Map(); // what is shown, by device
let drawn = "";

const wanted = () => new URLSearchParams(location.search).getAll("device");

function chosen(phones) {
  const asked = wanted().filter((id) => phones.some((phone) => phone.id === id));
  if (wanted().length) return asked;
  const room = Math.max(1, Math.floor(byId("stands").clientWidth / WIDTH));
  return phones.slice(0, room).map((phone) => phone.id);
}

function stand(phone, owner) {
  const figure = element("figure");
  const words = owner ? `${owner} · ${phone.name}` : phone.name;
  const caption = element("figcaption");
  caption.append(element("a", words, { href: `/phone/${encodeURIComponent(phone.id)}` }));
  figure.append(caption, element("iframe", undefined, {
    src: `/phone/${encodeURIComponent(phone.id)}`, title: `手機：${words}`, allow: "camera",
  }));
  return figure;
}

function choose(id, yes, ids) {
  const next = new Set(ids);
  if (yes) next.add(id);
  else next.delete(id);
  const query = new URLSearchParams([...next].map((each) => ["device", each]));
  history.replaceState(null, "", next.size ? `?${query}` : location.pathname);
  refresh();
}

function draw(phones, names) {
  const ids = chosen(phones);
  const state = JSON.stringify([phones.map(({ id, name, id_number: owner }) => [id, name, owner]), ids]);
  if (state === drawn) return; // a box that is replaced cannot be pressed
  drawn = state;
  const focused = document.activeElement?.value;
  const words = (phone) => [names.get(phone.id_number), phone.name].filter(Boolean).join(" · ");
  byId("choice").hidden = !phones.length;
  byId("nothing").hidden = phones.length > 0;
  byId("choice").replaceChildren(byId("choice").firstElementChild, ...phones.map((phone) => {
    const label = element("label");
    const box = element("input", undefined, { type: "checkbox", value: phone.id });
    box.checked = ids.includes(phone.id);
    box.addEventListener("change", () => choose(phone.id, box.checked, ids));
    label.append(box, words(phone));
    return label;
  }));
  for (const box of byId("choice").querySelectorAll("input")) if (box.value === focused) box.focus();
  for (const [id, figure] of stands) {
    if (!ids.includes(id)) {
      figure.remove();
      stands.delete(id);
    }
  }
  for (const id of ids) {
    if (stands.has(id)) continue; // a frame that is moved would begin anew
    const phone = phones.find((each) => each.id === id);
    const made = stand(phone, names.get(phone.id_number));
    stands.set(id, made);
    byId("stands").append(made);
  }
  const rest = phones.length - ids.length;
  byId("note").textContent = rest ? `顯示 ${ids.length} 支，另有 ${rest} 支可在上方勾選。` : "";
}

async function refresh() {
  try {
    const [people, phones] = await Promise.all([all("/people"), all("/devices")]);
    draw(phones, new Map(people.map((person) => [person.id_number, person.name])));
    showProblem(null);
  } catch (error) {
    showProblem(error);
  }
}

async function poll() {
  await refresh();
  setTimeout(poll, EVERY_MS);
}

addEventListener("resize", refresh);
poll();
