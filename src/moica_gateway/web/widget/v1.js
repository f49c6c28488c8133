// <moica-transaction base="/moica" transaction="txn_…" token="btk_…" lang="zh-TW"
//                    return-url="/documents/1" app-link="auto">
//
// The signing window: follows one transaction by server-sent events (through fetch, since the token
// stands in a header and never in an address), and shows what the user has to do and, afterwards,
// what happened and what to do now. It decides nothing: the document system's server asks the
// gateway. It navigates nowhere: the app is opened by the user's own tap on a link. What an app
// leaves on the return address is neither read nor shown; coming back only makes it ask again.
// Needs nothing but `default-src 'self'`. A transaction by redirect is posted to the Ministry's site
// in a window of its own, at the user's press: a page whose policy names `form-action` has to allow
// that site there (`https://fido.moi.gov.tw`).
//
// return-url: where the app goes back to; of this page's origin unless it is absolute. Without it
//   the user changes back by hand. app-link: `always`, `never`, else on a phone's browser.
// Events (bubbling, composed): moica-changed, moica-ended, and one of moica-completed, -rejected,
//   -expired, -failed, -cancelled; detail is the transaction as the browser may see it. moica-closed
//   when 「確定」 is pressed.
// Inside LINE, Facebook and the like a link may not open the app, and nothing tells so: 「複製連結」 stands
//   beside every link.

const WORDS = {
  "zh-TW": {
    signature: "行動自然人憑證簽章中",
    registration: "行動自然人憑證登記中",
    authentication: "行動自然人憑證驗證中",
    starting: "正在通知您的手機…",
    sent: "請在手機上開啟「行動自然人憑證」App，確認內容後按「確認」。",
    sentQr: "請在手機上開啟「行動自然人憑證」App，掃描下方的 QR Code，確認內容後按「確認」。",
    sentLink: "請按下方連結開啟「行動自然人憑證」App，確認內容後按「確認」，再回到此頁。",
    useQr: "請按「QR Code 模式登入」。",
    match: "驗證碼",
    matchHelp: "請確認手機上顯示的驗證碼與此相同",
    number: "公文文號",
    several: (first, n) => `${first} 等 ${n} 件`,
    batch: (n, m) => `第 ${n} 批，共 ${m} 批`,
    signed: (n) => `已簽章 ${n} 件`,
    left: (n) => `剩餘 ${n} 秒`,
    wait: "時間已到，正在確認結果…",
    qr: "QR Code 模式登入",
    newQr: "產生新的 QR Code",
    qrAlt: "QR Code，供「行動自然人憑證」App 掃描",
    qrHelp: "請在「行動自然人憑證」App 內使用【掃碼驗證】掃描",
    qrWarn: "※不可使用行動裝置內建的相機 App 直接掃",
    qrMaking: "正在產生 QR Code…",
    qrRetry: "暫時無法取得 QR Code，正在重新嘗試…",
    qrSoon: "QR Code 即將逾時。",
    qrLapsed: "QR Code 已逾時。",
    app: "使用本機 App 簽章",
    openApp: "開啟「行動自然人憑證」App",
    copyHelp: "若在 LINE、Facebook 等 App 內無法開啟，請複製連結，改用手機瀏覽器（如 Safari、Chrome）開啟。",
    copy: "複製連結",
    copied: "連結已複製，請貼到手機瀏覽器的網址列開啟。",
    copyByHand: "無法自動複製，請自行複製下方連結。",
    appAddress: "App 連結",
    site: "前往內政部網站驗證",
    sentSite: "請按「前往內政部網站驗證」，在新開的視窗完成驗證後，回到此視窗查看結果。",
    signatureDone: "簽章完成",
    registrationDone: "註冊完成",
    authenticationDone: "驗證完成",
    signatureBad: "憑證加簽失敗",
    registrationBad: "憑證註冊失敗",
    authenticationBad: "驗證失敗",
    rejected: "您已在手機上取消",
    cancelled: "作業已取消",
    expiredWhy: "逾時未在手機上確認。",
    failedWhy: "作業未完成，請稍後再試。",
    again: "按「確定」後可以重新開始；手機上若還有先前的通知，請略過。",
    bind: "請開啟「行動自然人憑證」App 的「註冊個人裝置」，以「掃描註冊啟用碼 QR Code」或「NFC 靠卡註冊綁定」完成綁定，再按「確定」重新開始。",
    code: "代碼",
    ok: "確定",
    offline: "連線中斷，正在重新連線…",
    askAgain: "連線中斷，請再按一次。",
    denied: "無法讀取這筆作業，請重新整理頁面。",
  },
  en: {
    signature: "Signing with your mobile certificate",
    registration: "Registering your mobile certificate",
    authentication: "Verifying with your mobile certificate",
    starting: "Notifying your phone…",
    sent: "Open the “行動自然人憑證” app on your phone, check what it shows, and confirm.",
    sentQr: "Open the “行動自然人憑證” app on your phone, scan the QR code below, check, and confirm.",
    sentLink: "Open the “行動自然人憑證” app by the link below, check, confirm, and come back here.",
    useQr: "Press “Sign in with a QR code”.",
    match: "Match code",
    matchHelp: "The phone must show the same code",
    number: "Document",
    several: (first, n) => `${first} and others, ${n} documents`,
    batch: (n, m) => `part ${n} of ${m}`,
    signed: (n) => `${n} signed`,
    left: (n) => `${n} s left`,
    wait: "Time is up, checking the result…",
    qr: "Sign in with a QR code",
    newQr: "Make a new QR code",
    qrAlt: "QR code, to be scanned by the “行動自然人憑證” app",
    qrHelp: "Scan with 【掃碼驗證】 inside the app",
    qrWarn: "Do not scan with the phone's own camera app",
    qrMaking: "Making a QR code…",
    qrRetry: "The QR code cannot be fetched right now, trying again…",
    qrSoon: "The QR code is about to lapse.",
    qrLapsed: "The QR code has lapsed.",
    app: "Sign with the app on this phone",
    openApp: "Open the “行動自然人憑證” app",
    copyHelp: "If it does not open inside LINE, Facebook or another app, copy the link and open it in the phone's browser (Safari, Chrome).",
    copy: "Copy link",
    copied: "Link copied. Paste it into the address bar of the phone's browser.",
    copyByHand: "It could not be copied. Please copy the link below yourself.",
    appAddress: "Link to the app",
    site: "Go to the Ministry's site",
    sentSite: "Press “Go to the Ministry's site”, finish in the window that opens, and come back here.",
    signatureDone: "Signed",
    registrationDone: "Registered",
    authenticationDone: "Verified",
    signatureBad: "Signing failed",
    registrationBad: "Registering failed",
    authenticationBad: "Verifying failed",
    rejected: "You refused on your phone",
    cancelled: "Cancelled",
    expiredWhy: "There was no confirmation on the phone in time.",
    failedWhy: "It was not finished. Please try again later.",
    again: "Press “OK” and start again; ignore an older notification on the phone.",
    bind: "Bind this phone in the “行動自然人憑證” app (註冊個人裝置), by activation code or by touching your card, then press “OK” and start again.",
    code: "Code",
    ok: "OK",
    offline: "Connection lost, trying again…",
    askAgain: "Connection lost. Please press again.",
    denied: "This request cannot be read. Please reload the page.",
  },
};

// --n is the number of modules of the code with its quiet zone of four at each side: the code itself
// is never below 280 pixels, and where the place is too narrow for that, it stands out evenly.
const STYLE = `
:host { display: block; font: var(--moica-font, 1rem/1.6 system-ui, "Noto Sans TC", "Noto Sans CJK TC", sans-serif);
  --fg: var(--moica-color, #1b2733); --bg: var(--moica-background, #fff);
  --accent: var(--moica-accent, #0b5cad); --bad: var(--moica-error, #a3160f); --good: var(--moica-success, #17663a); }
@media (prefers-color-scheme: dark) { :host { --fg: var(--moica-color, #eef2f6); --bg: var(--moica-background, #18212b);
  --accent: var(--moica-accent, #8cc2ff); --bad: var(--moica-error, #ff9d94); --good: var(--moica-success, #7fdca4); } }
section { color: var(--fg); background: var(--bg); border: 1px solid currentColor; border-radius: .5rem;
  padding: 1.25rem; max-width: 30rem; margin: auto; box-sizing: border-box; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; }
p { margin: .5rem 0; overflow-wrap: anywhere; } p:empty { margin: 0; }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0; }
dt { font-size: .875rem; } dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.code { font-size: 2.5rem; line-height: 1.1; letter-spacing: .2em; font-variant-numeric: tabular-nums; }
.left { font-variant-numeric: tabular-nums; }
.bad h2, .reason, .warn { color: var(--bad); } .good h2 { color: var(--good); }
.reason, .warn { font-weight: 600; }
.small { font-size: .875rem; }
.buttons { margin: .75rem -.25rem 0; } .buttons > * { margin: .25rem; }
button, a { font: inherit; min-height: 2.75rem; padding: .4rem 1.1rem; border-radius: .375rem; cursor: pointer;
  border: 2px solid var(--accent); background: var(--bg); color: var(--accent); font-weight: 600;
  box-sizing: border-box; text-decoration: none; display: inline-flex; align-items: center; }
.first { background: var(--accent); color: var(--bg); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
label { display: block; } input { display: block; font: inherit; width: 100%; min-height: 2.75rem; box-sizing: border-box;
  color: inherit; background: var(--bg); border: 1px solid currentColor; border-radius: .375rem; padding: .4rem; }
[aria-disabled=true] { opacity: .6; cursor: default; }
.qr { --w: max(calc(282px * var(--n, 93) / (var(--n, 93) - 8)), min(100%, calc(4px * var(--n, 93))));
  background: #fff; forced-color-adjust: none; box-sizing: border-box;
  width: var(--w); margin: .5rem calc((100% - var(--w)) / 2); aspect-ratio: 1; }
.qr svg { display: block; width: 100%; height: auto; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none !important; }
@media (max-width: 360px) { section { padding: .5rem; } }
@media (prefers-reduced-motion: no-preference) { button { transition: opacity .15s; } }
`;

const SVG = "http://www.w3.org/2000/svg";
const APP = /^mobilemoica:\/\//;
const SITE = /^https?:\/\//;
const LAST_SECONDS = 15;
const SILENCE = 45000; // the gateway says something every 15 s
const GRACE = 30000; // how long after its deadline a transaction may still wait for its result

function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function put(element, text) {
  // Set again, the same text would be read out again.
  if (element.textContent !== text) element.textContent = text;
}

function pauseOf(failures) {
  return Math.min(250 * 2 ** Math.min(failures, 6), 10000) * (0.5 + Math.random() / 2);
}

class MoicaTransaction extends HTMLElement {
  static observedAttributes = ["transaction", "token", "base", "lang", "return-url", "app-link"];

  #root = this.attachShadow({ mode: "open" });
  #parts = null;
  #planned = false;
  #stop = null;
  #line = null;
  #heard = 0;
  #goOn = null;
  #woken = 0;
  #ticker = 0;
  #view = null;
  #skew = null;
  #shown = "";
  #moment = "";
  #asking = false;
  #key = null;
  #refusal = "";
  #notBefore = 0;
  #limit = false;
  #drawing = null;
  #qrTrouble = false;
  #copied = "";
  #connection = "";

  connectedCallback() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.#root.adoptedStyleSheets = [sheet];
    addEventListener("focus", this.#wake);
    addEventListener("pageshow", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    this.#start();
  }

  disconnectedCallback() {
    removeEventListener("focus", this.#wake);
    removeEventListener("pageshow", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    this.#halt();
  }

  attributeChangedCallback(_name, before, after) {
    if (!this.#parts || before === after || this.#planned) return;
    this.#planned = true;
    // A framework sets them one after another; they are one change.
    queueMicrotask(() => {
      this.#planned = false;
      if (this.isConnected) this.#start();
    });
  }

  /** The transaction as last heard, or null. */
  get value() {
    return this.#view;
  }

  get #lang() {
    const lang = this.getAttribute("lang") || document.documentElement.lang || "zh-TW";
    return lang.toLowerCase().startsWith("en") ? "en" : "zh-TW";
  }

  get #words() {
    return WORDS[this.#lang];
  }

  get #ended() {
    return this.#view !== null && this.#view.status !== "pending";
  }

  get #returnUrl() {
    const given = this.getAttribute("return-url");
    if (!given) return null;
    try {
      const url = new URL(given, document.baseURI);
      url.hash = "";
      return url.href;
    } catch {
      return null;
    }
  }

  #now() {
    return Date.now() + (this.#skew || 0);
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

  // -- following ---------------------------------------------------------------------------------

  #halt() {
    this.#stop?.abort();
    this.#stop = null;
    this.#line?.abort();
    this.#drawing?.stop.abort();
    this.#drawing = null;
    this.#goOn?.();
    clearInterval(this.#ticker);
  }

  #start() {
    this.#halt();
    const transaction = this.getAttribute("transaction");
    // Moved in the page, or given a new token or language, it goes on with what it knows.
    if (this.#view && this.#view.id !== transaction) this.#forget();
    this.#asking = false;
    this.#connection = "";
    this.#build();
    if (!transaction || !this.getAttribute("token") || this.#ended) return;
    this.#stop = new AbortController();
    this.#ticker = setInterval(() => this.#tick(), 250);
    this.#follow(this.#stop.signal);
  }

  #forget() {
    this.#view = this.#skew = this.#key = null;
    this.#limit = false;
    this.#shown = this.#refusal = "";
    this.#notBefore = 0;
  }

  async #follow(signal) {
    let failures = 0;
    while (!signal.aborted && !this.#ended) {
      this.#line = new AbortController();
      this.#heard = Date.now();
      try {
        const headers = this.#view ? { "Last-Event-ID": String(this.#view.version) } : {};
        const answer = await this.#fetch("/events", { signal: this.#line.signal, headers });
        if (answer.status === 204) return;
        if ([401, 403, 404].includes(answer.status)) {
          this.#say(this.#words.denied);
          return;
        }
        if (!answer.ok) throw new Error(String(answer.status));
        this.#learnClock(answer);
        failures = 0;
        this.#say("");
        await this.#read(answer.body.getReader());
      } catch {
        if (!signal.aborted && !this.#ended) this.#say(this.#words.offline);
      }
      if (signal.aborted || this.#ended) return;
      failures += 1;
      await this.#pause(pauseOf(failures));
    }
  }

  async #read(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.#heard = Date.now();
      rest += decoder.decode(value, { stream: true });
      const events = rest.split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").find((line) => line.startsWith("data: "));
        if (data) this.#take(JSON.parse(data.slice(6)));
      }
    }
  }

  #pause(milliseconds) {
    return new Promise((go) => {
      this.#goOn = go;
      setTimeout(go, milliseconds);
    });
  }

  // Coming back from the app, or to the page: whatever the address or the app says, ask.
  #wake = (event) => {
    if (event.type === "pageshow" && !event.persisted) return;
    if (!this.#stop || !this.#view || this.#ended || document.visibilityState === "hidden") return;
    if (Date.now() - this.#woken < 1000) return;
    this.#woken = Date.now();
    this.#goOn?.();
    this.#look(this.#stop.signal);
  };

  async #look(signal) {
    try {
      const answer = await this.#fetch("", { signal });
      if (answer.ok) this.#take(await answer.json());
    } catch {
      // The stream says so, if the line is broken.
    }
  }

  #take(view) {
    if (this.#view && view.version <= this.#view.version) return;
    this.#checkClock(view);
    this.#view = view;
    this.#show();
    this.#tell("changed");
    if (!this.#ended) return;
    this.#tell(view.status);
    this.#tell("ended");
    clearInterval(this.#ticker);
    this.#line?.abort();
  }

  #tell(name) {
    this.dispatchEvent(
      new CustomEvent(`moica-${name}`, { detail: this.#view, bubbles: true, composed: true }),
    );
  }

  // The user's clock may be wrong by minutes: the server's counts. Where that one is wrong, too,
  // what was just created is taken as now.
  #learnClock(answer) {
    const date = Date.parse(answer.headers.get("Date") || "");
    if (this.#skew === null && date) this.#skew = date + 1000 - Date.now();
  }

  #checkClock(view) {
    if (this.#view) return;
    const created = Date.parse(view.created_at);
    const now = this.#now();
    if (now < created - 5000 || now > Date.parse(view.expires_at) + GRACE) {
      this.#skew = created - Date.now();
    }
  }

  // -- asking ------------------------------------------------------------------------------------

  async #ask(channel) {
    if (this.#asking || !this.#stop || Date.now() < this.#notBefore) return;
    const signal = this.#stop.signal;
    this.#asking = true;
    this.#refusal = "";
    // The same key until something was answered: pressed again after a cut, it is the same request.
    if (this.#key?.channel !== channel) this.#key = { channel, value: newKey() };
    this.#show();
    const back = channel === "app_link" ? this.#returnUrl : null;
    const body = back ? { channel, return_url: back } : { channel };
    try {
      let [answer, said] = await this.#post(body, signal);
      if (answer.status === 422 && said.member === "return_url") {
        // Not registered for this document system: the user comes back by hand.
        this.#key = { channel, value: newKey() };
        [answer, said] = await this.#post({ channel }, signal);
      }
      if (signal.aborted) return;
      this.#asking = false;
      if (answer.status < 500) this.#key = null;
      if (answer.ok) this.#take(said);
      else this.#refused(answer, said);
    } catch {
      if (signal.aborted) return;
      this.#asking = false;
      this.#refusal = this.#words.askAgain;
    }
    this.#show();
  }

  // In a window of its own: this one shows the result, and the site must not reach it.
  #leave() {
    const site = this.#stand().site;
    if (!site) return;
    const form = make("form", { method: "post", action: site.form.action, target: "_blank", rel: "noopener", hidden: "" });
    for (const [name, value] of Object.entries(site.form.fields)) {
      form.append(make("input", { type: "hidden", name, value: String(value) }));
    }
    this.#root.append(form);
    HTMLFormElement.prototype.submit.call(form);
    form.remove();
  }

  // Where the page may not write to the clipboard, the link is shown and selected, to be copied by hand.
  async #copy() {
    const address = this.#stand().link?.url;
    if (!address) return;
    const { field, addressBox, copyState } = this.#parts;
    const words = this.#words;
    try {
      await navigator.clipboard.writeText(address);
      addressBox.hidden = true;
      this.#copied = words.copied;
    } catch {
      if (this.#stand().link?.url !== address) return;
      field.value = address;
      addressBox.hidden = false;
      this.#copied = words.copyByHand;
      field.focus();
      field.select();
    }
    put(copyState, this.#copied);
  }

  async #post(body, signal) {
    const answer = await this.#fetch("/challenges", {
      method: "POST",
      signal,
      headers: { "Content-Type": "application/json", "Idempotency-Key": this.#key.value },
      body: JSON.stringify(body),
    });
    return [answer, await answer.json()];
  }

  #refused(answer, said) {
    this.#refusal = said.user_message?.[this.#lang] || this.#words.failedWhy;
    if (["challenge_limit", "transaction_closed"].includes(said.code)) this.#limit = true;
    if (said.code === "transaction_closed" && this.#stop) this.#look(this.#stop.signal);
    const seconds = Number(answer.headers.get("Retry-After"));
    if (answer.status === 429 && seconds > 0) this.#notBefore = Date.now() + seconds * 1000;
  }

  // -- showing -----------------------------------------------------------------------------------

  #build() {
    const words = this.#words;
    const title = make("h2", { id: "t", part: "title", tabindex: "-1" });
    const status = make("p", { part: "status", role: "status" });
    const reason = make("p", { class: "reason", part: "reason", role: "status" });
    const code = make("dd", { class: "code", part: "match-code" });
    const codeBox = make("div", {}, make("dt", {}, words.match), code);
    const number = make("dd", { part: "document-number" });
    const numberBox = make("div", {}, make("dt", {}, words.number), number);
    const facts = make("dl", { part: "facts" }, numberBox, codeBox);
    const help = make("p", { part: "match-help" }, words.matchHelp);
    const left = make("p", { class: "left", part: "countdown", role: "timer" });
    const spoken = make("p", { class: "spoken", role: "status" });
    const qr = make("div", { class: "qr", part: "qr", role: "img", "aria-label": words.qrAlt });
    const qrHelp = make("p", { part: "qr-help", tabindex: "-1" }, words.qrHelp);
    const qrWarn = make("p", { class: "warn", part: "qr-warning" }, words.qrWarn);
    const qrBox = make("div", {}, qrHelp, qr, qrWarn);
    const qrState = make("p", { part: "qr-status", role: "status" });
    const button = (part, text, pressed) => {
      const made = make("button", { type: "button", part }, text);
      made.addEventListener("click", pressed);
      return made;
    };
    const app = button("app-button", words.app, () => this.#ask("app_link"));
    const link = make("a", { class: "first", part: "app-link", rel: "noreferrer" }, words.openApp);
    const copyHelp = make("p", { class: "small", part: "copy-help" }, words.copyHelp);
    const copy = button("copy-button", words.copy, () => this.#copy());
    const copyState = make("p", { part: "copy-status", role: "status" });
    const field = make("input", { part: "app-address", readonly: "", autocomplete: "off", spellcheck: "false" });
    const addressBox = make("label", { hidden: "" }, words.appAddress, field);
    const copyBox = make("div", { class: "buttons" }, copyHelp, copy, addressBox);
    const site = button("site-button", words.site, () => this.#leave());
    site.className = "first";
    const ask = button("qr-button", words.qr, () => this.#ask("qr"));
    const again = button("new-qr-button", words.newQr, () => this.#ask("qr"));
    const ok = button("ok-button", words.ok, () => this.#tell("closed"));
    const buttons = make("div", { class: "buttons", part: "buttons" }, link, site, app, ask, again, ok);
    const line = make("p", { part: "connection", role: "status" });
    const advice = make("p", { part: "advice" });
    const reference = make("p", { class: "small", part: "reference" });
    const box = make(
      "section",
      { part: "window", "aria-labelledby": "t" },
      title, status, reason, facts, help, left, spoken, qrBox, qrState, advice, reference, buttons, copyBox, copyState, line,
    );
    this.#parts = {
      box, title, status, reason, code, codeBox, number, numberBox, facts, help, left, spoken, qr, qrHelp,
      qrBox, qrState, app, link, site, ask, again, ok, line, advice, reference,
      copyBox, copyState, field, addressBox,
    };
    this.#copied = "";
    this.#root.replaceChildren(box);
    this.#show();
  }

  #say(text) {
    this.#connection = text;
    put(this.#parts.line, text);
  }

  #left(challenge) {
    return (Date.parse(challenge.expires_at) - this.#now()) / 1000;
  }

  // What the user may do now, out of what was heard and what time it is.
  #stand() {
    const ticket = this.#view?.ticket || 0;
    const all = (this.#view?.challenges || []).filter((one) => (one.ticket || 0) === ticket);
    const last = (channel, ...states) =>
      all.findLast((one) => one.channel === channel && states.includes(one.status));
    const open = (channel) => {
      const found = last(channel, "sent");
      return found && this.#left(found) > 0 ? found : null;
    };
    const starting = all.some((one) => one.status === "starting");
    const code = open("qr");
    const link = open("app_link");
    const site = open("redirect");
    return {
      push: open("push"),
      code,
      link: link && APP.test(link.url) ? link : null,
      site: site && SITE.test(site.form?.action) ? site : null,
      starting,
      making: Boolean(last("qr", "starting")) || (this.#asking && this.#key?.channel === "qr"),
      soon: Boolean(code) && this.#left(code) <= LAST_SECONDS,
      lapsed: !code && Boolean(last("qr", "sent", "lapsed")),
      over: all.some((one) => one.status === "sent" || one.status === "lapsed"),
      failed: all.at(-1)?.status === "failed" ? all.at(-1).error : null,
    };
  }

  #show() {
    const parts = this.#parts;
    const view = this.#view;
    const pending = !this.#ended;
    const had = this.#root.activeElement;
    const { numberBox, codeBox, facts, help, left, ok, advice, reference } = parts;
    help.hidden = codeBox.hidden = left.hidden = !view || !pending;
    numberBox.hidden = !view?.documents.length;
    facts.hidden = numberBox.hidden && codeBox.hidden;
    ok.hidden = pending;
    advice.hidden = reference.hidden = pending;
    put(parts.number, view ? this.#number(view) : "");
    put(parts.code, view?.match_code || "");
    put(parts.line, pending ? this.#connection : "");
    if (pending) this.#showPending();
    else this.#showEnd();
    if (this.#shown !== view?.status) {
      if (this.#shown && !pending) parts.title.focus();
      this.#shown = view?.status || "";
    }
    // What was pressed may be gone now: the focus goes on to what came in its place.
    const has = this.#root.activeElement;
    if (had?.closest("[hidden]") && (!has || has === had)) this.#focusNext();
  }

  // As the phone shows it, and how far a batch has come.
  #number({ documents, ticket = 0, tickets = 1, partial }) {
    const words = this.#words;
    const first = documents[0]?.number || "";
    const said = [documents.length > 1 ? words.several(first, documents.length) : first];
    if (tickets > 1 && !this.#ended) said.push(words.batch(ticket + 1, tickets));
    if (partial) said.push(words.signed(documents.filter((d) => d.status === "completed").length));
    return said.join(this.#lang === "en" ? ", " : "，");
  }

  #focusNext() {
    const { link, qrBox, qrHelp, title } = this.#parts;
    (!link.hidden ? link : !qrBox.hidden ? qrHelp : title).focus();
  }

  #showPending() {
    const { box, title, status, reason, qrBox, qrState, app, site, ask, again } = this.#parts;
    const words = this.#words;
    const view = this.#view;
    const now = this.#stand();
    const may = Boolean(view) && !this.#limit;
    box.className = "";
    put(title, words[view?.kind] || words.signature);
    put(status, this.#instruction(now));
    put(reason, this.#refusal || now.failed?.user_message?.[this.#lang] || "");
    qrBox.hidden = !now.code;
    this.#draw(now.code);
    const qrText = now.making
      ? words.qrMaking
      : now.code && this.#qrTrouble
        ? words.qrRetry
        : now.soon
          ? words.qrSoon
          : now.lapsed
            ? words.qrLapsed
            : "";
    put(qrState, qrText);
    ask.hidden = !may || Boolean(now.code) || now.lapsed;
    again.hidden = !may || !(now.soon || now.lapsed);
    this.#link(now.link);
    site.hidden = !now.site;
    app.hidden = !may || Boolean(now.link) || !this.#onPhone();
    const wait = this.#asking || now.starting || Date.now() < this.#notBefore;
    for (const one of [ask, again, app]) one.setAttribute("aria-disabled", String(wait));
    // Where push cannot reach the phone, the code is the way.
    ask.classList.toggle("first", !now.push && now.failed?.what_helps === "qr");
    app.classList.toggle("first", !app.hidden);
    this.#moment = this.#momentOf(now);
    this.#count();
  }

  #instruction(now) {
    const words = this.#words;
    if (now.link) return words.sentLink;
    if (now.code) return words.sentQr;
    if (now.site) return words.sentSite;
    if (now.push) return words.sent;
    if (now.making) return "";
    if (now.failed && !now.starting) return now.failed.what_helps === "qr" ? words.useQr : "";
    return now.over && !now.starting ? words.wait : words.starting;
  }

  #showEnd() {
    const { box, title, status, reason, qrBox, qrState, app, site, ask, again, advice, reference } = this.#parts;
    const words = this.#words;
    const { kind, status: how, error } = this.#view;
    const good = how === "completed";
    for (const one of [qrBox, app, site, ask, again]) one.hidden = true;
    this.#link(null);
    this.#draw(null);
    box.className = good ? "good" : "bad";
    put(reason, "");
    put(qrState, "");
    put(title, words[how] || words[`${kind}${good ? "Done" : "Bad"}`] || words.signatureBad);
    put(status, error?.user_message?.[this.#lang] || words[`${how}Why`] || "");
    const helps = error?.what_helps;
    put(advice, helps === "bind" ? words.bind : !good && helps !== "fix" && helps !== "fail" ? words.again : "");
    put(reference, how === "failed" && error?.code ? `${words.code} ${error.upstream_code || error.code}` : "");
  }

  // A link that is over leaves nothing of its ticket in the page.
  #link(open) {
    const { link, copyBox, copyState, field, addressBox } = this.#parts;
    link.hidden = copyBox.hidden = !open;
    if (open) link.setAttribute("href", open.url);
    else link.removeAttribute("href");
    if (!open || (field.value && field.value !== open.url)) {
      field.value = this.#copied = "";
      addressBox.hidden = true;
    }
    put(copyState, this.#copied);
  }

  #onPhone() {
    const wanted = this.getAttribute("app-link");
    if (wanted === "always" || wanted === "never") return wanted === "always";
    return matchMedia("(pointer: coarse) and (hover: none)").matches;
  }

  #momentOf(now) {
    const waits = Date.now() < this.#notBefore;
    return [now.push?.id, now.code?.id, now.link?.id, now.site?.id, now.soon, now.lapsed, waits].join();
  }

  #tick() {
    if (this.#line && Date.now() - this.#heard > SILENCE) this.#line.abort();
    if (!this.#view || this.#ended) return;
    if (this.#moment === this.#momentOf(this.#stand())) this.#count();
    else this.#show();
  }

  #count() {
    if (!this.#view) return;
    const left = Math.ceil(this.#left(this.#view));
    put(this.#parts.left, left > 0 ? this.#words.left(left) : this.#words.wait);
    // A screen reader is told twice, and at the end.
    if (left === 30 || left === 10) put(this.#parts.spoken, this.#words.left(left));
    else if (left <= 0) put(this.#parts.spoken, this.#words.wait);
  }

  // -- the code ----------------------------------------------------------------------------------

  #draw(code) {
    if (this.#drawing?.id === code?.id) return;
    this.#drawing?.stop.abort();
    this.#qrTrouble = false;
    this.#parts.qr.replaceChildren();
    this.#drawing = code ? { id: code.id, stop: new AbortController() } : null;
    if (code) this.#load(this.#drawing.stop.signal);
  }

  async #load(signal) {
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        const answer = await this.#fetch("/qr.svg", { signal });
        if (!answer.ok) throw new Error(String(answer.status));
        const drawn = picture(await answer.text());
        if (signal.aborted) return;
        this.#parts.qr.style.setProperty("--n", drawn.size);
        this.#parts.qr.replaceChildren(drawn.svg);
        this.#qrTrouble = false;
        this.#show();
        return;
      } catch {
        if (signal.aborted) return;
        this.#qrTrouble = true;
        this.#show();
      }
      await new Promise((go) => setTimeout(go, pauseOf(failures)));
    }
  }
}

// Where the page is not served over TLS there is no crypto.randomUUID.
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16)).join("-");
}

// Only numbers and path data are taken over from the image, never its markup.
function picture(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  const box = /^0 0 (\d{2,3}) \1$/.exec(parsed.getAttribute("viewBox") || "");
  if (!box) throw new Error("no code");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", box[0]);
  svg.setAttribute("shape-rendering", "crispEdges");
  for (const path of parsed.querySelectorAll("path")) {
    const copy = document.createElementNS(SVG, "path");
    copy.setAttribute("d", path.getAttribute("d") || "");
    copy.setAttribute("fill", path.getAttribute("fill") === "#fff" ? "#fff" : "#000");
    svg.append(copy);
  }
  return { svg, size: Number(box[1]) };
}

if (!customElements.get("moica-transaction")) {
  customElements.define("moica-transaction", MoicaTransaction);
}
