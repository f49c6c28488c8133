// 「註冊個人裝置」 by an activation code, typed or in a picture, or by NFC, and 「取消綁定」.

import { all, byId, call, element, onSubmit, showProblem } from "./page.js";

async function showCards() {
  const people = await all("/people");
  byId("cards").replaceChildren(...people.map((person) =>
    element("option", `${person.name} ${person.card_number}`, { value: person.card_number })));
}

export function setUpBinding(device, changed) {
  const bind = async (body) => {
    await call("POST", `/devices/${device}/bind`, body);
    await changed();
  };
  const input = byId("code-picture");
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    try {
      await bind(file);
      showProblem(null);
    } catch (error) {
      showProblem(error);
    } finally {
      input.value = ""; // or the same file, chosen again, would be no change
    }
  });
  onSubmit("bind", ({ code }) => bind({ activation_code: code.trim() }));
  onSubmit("nfc", ({ card_number: card, pin }) => bind({ by: "nfc", card_number: card, pin }));
  document.querySelector('[data-go="nfc"]').addEventListener("click", async () => {
    try {
      await showCards();
    } catch (error) {
      showProblem(error);
    }
  });
  byId("unbind").addEventListener("click", async () => {
    try {
      await call("POST", `/devices/${device}/unbind`);
      await changed();
    } catch (error) {
      showProblem(error);
    }
  });
}
