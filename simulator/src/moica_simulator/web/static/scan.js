// The screen 掃碼驗證: a code before the camera, in a picture, or pasted; a pasted app link, too.

import { INTERRUPTED, openCamera, release, takeFrame } from "./camera.js";
import { byId, call, onSubmit, showProblem } from "./page.js";

const BETWEEN_FRAMES_MS = 334; // three a second at most
const LARGEST_PICTURE = 4 * 1024 * 1024;
const AIM = "請將 QR Code 對準鏡頭。";
const GO_ON = {
  picture_without_code: AIM,
  picture_with_several_codes: "畫面中有多個 QR Code，請只對準一個。",
};

let path = "";
let arrived = null; // told of each request that was brought
let turn = 0; // raised by whatever opens or closes the camera; older turns then end
let stream = null;

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
const scan = (body) => call("POST", `${path}/scan`, body, "這張 QR Code ");

export function setUpScan(device, onRequest) {
  path = `/devices/${device}`;
  arrived = onRequest;
  byId("camera-button").addEventListener("click", () => (byId("camera").hidden ? look() : closeCamera()));
  byId("picture").addEventListener("change", upload);
  onSubmit("scan", async ({ payload }) => {
    closeCamera();
    const text = payload.trim();
    if (/^mobilemoica:/i.test(text)) await openLink(text);
    else arrived(await scan({ payload: text }));
  });
  addEventListener("pagehide", closeCamera);
}

export async function openLink(url) {
  arrived(await call("POST", `${path}/links`, { url }, "這個連結"));
}

export function closeCamera() {
  turn += 1;
  release(stream);
  stream = null;
  const video = byId("camera");
  video.srcObject = null;
  video.hidden = true;
  byId("camera-status").textContent = "";
  byId("camera-button").textContent = "開啟相機";
}

async function look() {
  closeCamera();
  showProblem(null);
  const mine = turn;
  const video = byId("camera");
  video.hidden = false;
  byId("camera-button").textContent = "關閉相機";
  byId("camera-status").textContent = "正在開啟相機…";
  try {
    const opened = await openCamera();
    if (mine !== turn) {
      release(opened); // the screen was left while the browser asked for permission
      return;
    }
    stream = opened;
    for (const track of stream.getTracks()) {
      track.addEventListener("ended", () => { if (mine === turn) fail(new Error(INTERRUPTED)); });
    }
    video.srcObject = stream;
    byId("camera-status").textContent = AIM;
    await video.play();
    const request = await firstDecoded(video, mine);
    if (request === null) return;
    closeCamera();
    arrived(request);
  } catch (error) {
    if (mine === turn) fail(error);
  }
}

// One frame at a time, until one is decoded; null if the camera was closed meanwhile.
async function firstDecoded(video, mine) {
  while (mine === turn) {
    const started = performance.now();
    const frame = await takeFrame(video);
    if (frame !== null && mine === turn) {
      try {
        const request = await scan(frame);
        return mine === turn ? request : null;
      } catch (error) {
        if (mine === turn && !(error.code in GO_ON)) throw error;
        if (mine === turn) byId("camera-status").textContent = GO_ON[error.code];
      }
    }
    await pause(Math.max(0, BETWEEN_FRAMES_MS - (performance.now() - started)));
  }
  return null;
}

function fail(error) {
  closeCamera();
  showProblem(error);
}

async function upload(event) {
  const input = event.target;
  const [file] = input.files;
  if (!file) return;
  closeCamera();
  try {
    if (!["image/png", "image/jpeg"].includes(file.type)) {
      throw new Error("請上傳 PNG 或 JPEG 圖片。");
    }
    if (file.size > LARGEST_PICTURE) throw new Error("圖片超過 4 MiB，請裁剪出 QR Code 的部分再上傳。");
    const request = await scan(file);
    showProblem(null);
    arrived(request);
  } catch (error) {
    showProblem(error);
  } finally {
    input.value = ""; // or the same file, chosen again, would be no change
  }
}
