// <moica-transaction base="/moica" transaction="txn_…" token="btk_…" lang="zh-TW">
//
// The signing window: follows one transaction by server-sent events (through fetch, since the token
// stands in a header and never in an address), and shows what the user has to do. It decides nothing:
// the document system's server asks the gateway. Needs nothing but `default-src 'self'`.
// Events (bubbling, composed): moica-changed, moica-ended, and one of moica-completed, -rejected,
// -expired, -failed, -cancelled; detail is the transaction as the browser may see it.

const WORDS = {
  "zh-TW": {
    signature: "行動自然人憑證簽章中",
    registration: "行動自然人憑證登記中",
    authentication: "行動自然人憑證驗證中",
    starting: "正在通知您的手機…",
    sent: "請在手機上開啟「行動自然人憑證」App，確認內容後按「確認」。",
    match: "驗證碼",
    matchHelp: "請確認手機上顯示的驗證碼與此相同",
    number: "公文文號",
    left: (n) => `剩餘 ${n} 秒`,
    wait: "時間已到，正在確認結果…",
    qr: "QR Code 模式登入",
    qrHelp: "請在「行動自然人憑證」App 內使用【掃碼驗證】掃描",
    qrWarn: "※不可使用行動裝置內建的相機 App 直接掃",
    completed: "簽章完成",
    registered: "註冊完成",
    rejected: "您已在手機上取消",
    expired: "憑證加簽失敗",
    failed: "憑證加簽失敗",
    cancelled: "作業已取消",
    ok: "確定",
    offline: "連線中斷，正在重新連線…",
    denied: "無法讀取這筆作業，請重新整理頁面。",
  },
  en: {
    signature: "Signing with your mobile certificate",
    registration: "Registering your mobile certificate",
    authentication: "Verifying with your mobile certificate",
    starting: "Notifying your phone…",
    sent: "Open the “行動自然人憑證” app on your phone, check what it shows, and confirm.",
    match: "Match code",
    matchHelp: "The phone must show the same code",
    number: "Document",
    left: (n) => `${n} s left`,
    wait: "Time is up, checking the result…",
    qr: "Sign in with a QR code",
    qrHelp: "Scan with 【掃碼驗證】 inside the app",
    qrWarn: "Do not scan with the phone's own camera app",
    completed: "Signed",
    registered: "Registered",
    rejected: "You refused on your phone",
    expired: "Signing failed",
    failed: "Signing failed",
    cancelled: "Cancelled",
    ok: "OK",
    offline: "Connection lost, trying again…",
    denied: "This request cannot be read. Please reload the page.",
  },
};

const STYLE = `
:host { display: block; font: var(--moica-font, 1rem/1.6 system-ui, "Noto Sans TC", "Noto Sans CJK TC", sans-serif);
  --fg: var(--moica-color, #1b2733); --bg: var(--moica-background, #fff);
  --accent: var(--moica-accent, #0b5cad); --bad: var(--moica-error, #a3160f); --good: var(--moica-success, #17663a); }
@media (prefers-color-scheme: dark) { :host { --fg: var(--moica-color, #eef2f6); --bg: var(--moica-background, #18212b);
  --accent: var(--moica-accent, #8cc2ff); --bad: var(--moica-error, #ff9d94); --good: var(--moica-success, #7fdca4); } }
section { color: var(--fg); background: var(--bg); border: 1px solid currentColor; border-radius: .5rem;
  padding: 1.25rem; max-width: 30rem; margin: auto; box-sizing: border-box; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; }
p { margin: .5rem 0; } dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0; }
dt { font-size: .875rem; } dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.code { font-size: 2.5rem; line-height: 1.1; letter-spacing: .2em; font-variant-numeric: tabular-nums; }
.left { font-variant-numeric: tabular-nums; }
.bad h2 { color: var(--bad); } .good h2 { color: var(--good); }
button { font: inherit; min-height: 2.75rem; padding: .4rem 1.1rem; border-radius: .375rem; cursor: pointer;
  border: 2px solid var(--accent); background: var(--bg); color: var(--accent); font-weight: 600; }
button:focus-visible, h2:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button[disabled] { opacity: .6; cursor: default; }
.qr { background: #fff; padding: .5rem; width: min(100%, 330px); min-width: 310px; box-sizing: content-box; margin: .5rem auto; }
.qr svg { display: block; width: 100%; height: auto; }
.warn { font-weight: 600; color: var(--bad); }
[hidden] { display: none !important; }
@media (max-width: 360px) { section { padding: .5rem .25rem; } .qr { padding: 0; min-width: 280px; } }
@media (prefers-reduced-motion: no-preference) { button { transition: opacity .15s; } }
`;

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

class MoicaTransaction extends HTMLElement {
  static observedAttributes = ["transaction", "token", "base", "lang"];

  #root = this.attachShadow({ mode: "open" });
  #stop = null;
  #view = null;
  #skew = 0;
  #ticker = 0;
  #qrOf = null;
  #asking = false;
  #parts = null;
  #shownState = "";

  connectedCallback() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.#root.adoptedStyleSheets = [sheet];
    this.#start();
  }

  disconnectedCallback() {
    this.#halt();
  }

  attributeChangedCallback(_name, before, after) {
    if (this.isConnected && this.#parts && before !== after) this.#start();
  }

  /** The transaction as last heard, or null. */
  get value() {
    return this.#view;
  }

  get #words() {
    const lang = this.getAttribute("lang") || document.documentElement.lang || "zh-TW";
    return lang.toLowerCase().startsWith("en") ? WORDS.en : WORDS["zh-TW"];
  }

  #url(tail) {
    const base = (this.getAttribute("base") || "").replace(/\/+$/, "");
    return `${base}/v1/transactions/${encodeURIComponent(this.getAttribute("transaction") || "")}${tail}`;
  }

  #fetch(tail, options = {}) {
    return fetch(this.#url(tail), {
      ...options,
      cache: "no-store",
      credentials: "omit",
      headers: { ...options.headers, Authorization: `Bearer ${this.getAttribute("token") || ""}` },
    });
  }

  #halt() {
    this.#stop?.abort();
    this.#stop = null;
    clearInterval(this.#ticker);
  }

  #start() {
    this.#halt();
    this.#view = null;
    this.#qrOf = null;
    this.#asking = false;
    this.#shownState = "";
    this.#build();
    if (!this.getAttribute("transaction") || !this.getAttribute("token")) return;
    this.#stop = new AbortController();
    this.#ticker = setInterval(() => this.#tick(), 250);
    this.#follow(this.#stop.signal);
  }

  async #follow(signal) {
    let failures = 0;
    while (!signal.aborted && !this.#ended) {
      try {
        const headers = this.#view ? { "Last-Event-ID": String(this.#view.version) } : {};
        const answer = await this.#fetch("/events", { signal, headers });
        if (answer.status === 204) return;
        if ([401, 403, 404].includes(answer.status)) {
          this.#say(this.#words.denied);
          return;
        }
        if (!answer.ok) throw new Error(String(answer.status));
        failures = 0;
        this.#say("");
        await this.#read(answer.body.getReader());
      } catch {
        if (signal.aborted) return;
        this.#say(this.#words.offline);
      }
      if (this.#ended) return;
      failures += 1;
      const pause = Math.min(250 * 2 ** Math.min(failures, 6), 10000) * (0.5 + Math.random() / 2);
      await new Promise((go) => setTimeout(go, pause));
    }
  }

  async #read(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const events = rest.split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").find((line) => line.startsWith("data: "));
        if (data) this.#take(JSON.parse(data.slice(6)));
      }
    }
  }

  get #ended() {
    return this.#view !== null && this.#view.status !== "pending";
  }

  #take(view) {
    if (this.#view && view.version <= this.#view.version) return;
    if (!this.#view) this.#learnClock(view);
    this.#view = view;
    this.#show();
    this.#tell("changed");
    if (this.#ended) {
      this.#tell(view.status);
      this.#tell("ended");
      clearInterval(this.#ticker);
    }
  }

  // The user's clock may be wrong by minutes; what was just created is taken as now.
  #learnClock(view) {
    const created = Date.parse(view.created_at);
    const expires = Date.parse(view.expires_at);
    const now = Date.now();
    this.#skew = now < created || now > expires ? created - now : 0;
  }

  #tell(name) {
    this.dispatchEvent(
      new CustomEvent(`moica-${name}`, { detail: this.#view, bubbles: true, composed: true }),
    );
  }

  #build() {
    const words = this.#words;
    const title = make("h2", { part: "title", tabindex: "-1" }, "");
    const status = make("p", { part: "status", role: "status" }, words.starting);
    const code = make("dd", { class: "code", part: "match-code" });
    const number = make("dd", { part: "document-number" });
    const codeBox = make("div", {}, make("dt", {}, words.match), code);
    const numberBox = make("div", {}, make("dt", {}, words.number), number);
    const facts = make("dl", { part: "facts" }, numberBox, codeBox);
    const help = make("p", { part: "match-help" }, words.matchHelp);
    const left = make("p", { class: "left", part: "countdown", role: "timer" });
    const qr = make("div", { class: "qr", part: "qr", role: "img", "aria-label": "QR Code" });
    const qrBox = make(
      "div",
      {},
      make("p", {}, words.qrHelp),
      qr,
      make("p", { class: "warn", part: "qr-warning" }, words.qrWarn),
    );
    const ask = make("button", { type: "button", part: "qr-button" }, words.qr);
    const ok = make("button", { type: "button", part: "ok-button" }, words.ok);
    const line = make("p", { part: "connection", role: "status" });
    ask.addEventListener("click", () => this.#askForQr());
    ok.addEventListener("click", () => this.#tell("closed"));
    const box = make(
      "section",
      { part: "window", "aria-labelledby": "t" },
      title, status, facts, help, left, qrBox, ask, ok, line,
    );
    title.id = "t";
    this.#parts = { box, title, status, code, codeBox, number, numberBox, facts, help, left, qr, qrBox, ask, ok, line };
    this.#root.replaceChildren(box);
    this.#show();
  }

  #say(text) {
    this.#parts.line.textContent = text;
  }

  #show() {
    const { box, title, status, code, number, numberBox, facts, help, left, qrBox, ask, ok } = this.#parts;
    const words = this.#words;
    const view = this.#view;
    const pending = !view || view.status === "pending";
    const message = view?.error?.user_message;
    const lang = words === WORDS.en ? "en" : "zh-TW";
    facts.hidden = help.hidden = !view || !pending;
    left.hidden = !view || !pending;
    ok.hidden = pending;
    qrBox.hidden = true;
    ask.hidden = true;
    box.className = pending ? "" : view.status === "completed" ? "good" : "bad";
    if (!view) {
      title.textContent = words.signature;
      return;
    }
    number.textContent = view.documents.map((one) => one.number).join("、");
    numberBox.hidden = view.documents.length === 0;
    code.textContent = view.match_code;
    if (pending) {
      const open = view.challenges.filter((one) => one.status === "starting" || one.status === "sent");
      const qrOpen = open.find((one) => one.channel === "qr" && one.status === "sent");
      const failed = view.challenges.find((one) => one.status === "failed");
      title.textContent = words[view.kind] || words.signature;
      status.textContent = open.some((one) => one.status === "sent")
        ? words.sent
        : open.length
          ? words.starting
          : failed?.error?.user_message?.[lang] || words.starting;
      qrBox.hidden = !qrOpen;
      ask.hidden = open.some((one) => one.channel === "qr");
      ask.disabled = this.#asking;
      if (qrOpen && this.#qrOf !== qrOpen.id) this.#loadQr(qrOpen.id);
      this.#tick();
    } else {
      const done = view.kind === "registration" ? words.registered : words.completed;
      title.textContent = view.status === "completed" ? done : words[view.status];
      status.textContent = message ? message[lang] : "";
    }
    if (this.#shownState !== view.status) {
      if (this.#shownState && !pending) title.focus();
      this.#shownState = view.status;
    }
  }

  #tick() {
    if (!this.#view || this.#ended) return;
    const left = Math.ceil((Date.parse(this.#view.expires_at) - Date.now() - this.#skew) / 1000);
    const text = left > 0 ? this.#words.left(left) : this.#words.wait;
    // Screen readers hear every tenth second, not every one.
    if (this.#parts.left.textContent !== text) this.#parts.left.textContent = text;
    this.#parts.left.setAttribute("aria-live", left % 10 === 0 ? "polite" : "off");
  }

  async #askForQr() {
    if (this.#asking) return;
    this.#asking = true;
    const signal = this.#stop?.signal;
    this.#parts.ask.disabled = true;
    try {
      const answer = await this.#fetch("/challenges", {
        method: "POST",
        signal,
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ channel: "qr" }),
      });
      const body = await answer.json();
      if (signal?.aborted) return;
      if (answer.ok) this.#take(body);
      else this.#say(body.user_message?.[this.#words === WORDS.en ? "en" : "zh-TW"] || "");
    } catch {
      if (!signal?.aborted) this.#say(this.#words.offline);
    } finally {
      if (signal?.aborted) return;
      this.#asking = false;
      if (!this.#ended) this.#parts.ask.disabled = false;
    }
  }

  // Only numbers and path data are taken over from the image, never its markup.
  async #loadQr(challenge) {
    this.#qrOf = challenge;
    try {
      const answer = await this.#fetch("/qr.svg");
      if (!answer.ok) throw new Error(String(answer.status));
      const parsed = new DOMParser().parseFromString(await answer.text(), "image/svg+xml");
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", parsed.documentElement.getAttribute("viewBox") || "");
      svg.setAttribute("shape-rendering", "crispEdges");
      for (const path of parsed.querySelectorAll("path")) {
        const copy = document.createElementNS(SVG, "path");
        copy.setAttribute("d", path.getAttribute("d") || "");
        copy.setAttribute("fill", path.getAttribute("fill") === "#fff" ? "#fff" : "#000");
        svg.append(copy);
      }
      this.#parts.qr.replaceChildren(svg);
    } catch {
      this.#qrOf = null;
    }
  }
}

if (!customElements.get("moica-transaction")) {
  customElements.define("moica-transaction", MoicaTransaction);
}
