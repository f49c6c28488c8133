// The pages work without this file. It follows the signing window, counts what is selected,
// and keeps a button from being pressed twice.
"use strict";

// The widget says that something has changed; only the server knows what. Ask it, by loading the
// page again, a little later each time, so that a server that does not know yet is not pressed.
for (const widget of document.querySelectorAll("moica-transaction")) {
  const key = `looks:${widget.getAttribute("transaction")}`;
  let planned = false;
  const look = () => {
    if (planned) return;
    planned = true;
    const looks = Number(sessionStorage.getItem(key) || "0");
    sessionStorage.setItem(key, String(looks + 1));
    setTimeout(() => location.reload(), Math.min(600 + 800 * looks, 10000));
  };
  widget.addEventListener("moica-ended", look);
  widget.addEventListener("moica-closed", () => location.reload());
}

for (const table of document.querySelectorAll("table[data-select]")) {
  const shown = (table.closest("form") || document).querySelector("[data-selected]");
  const boxes = [...table.querySelectorAll("tbody input[type=checkbox]")];
  const all = table.querySelector("[data-all]");
  const count = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    shown.textContent = String(chosen);
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  };
  all.parentElement.hidden = !boxes.length;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  table.addEventListener("change", count);
  count();
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", (event) => {
  // Brought back as it was left, a page that shows how a request stands may be wrong by now.
  if (event.persisted && document.getElementById("transaction-state")) location.reload();
  for (const form of document.querySelectorAll("form[data-once]")) delete form.dataset.sent;
});

for (const dialog of document.querySelectorAll("[role=dialog], [role=alertdialog]")) {
  const first = dialog.querySelector("[autofocus], h1[tabindex], h2[tabindex]");
  if (first) first.focus();
}
