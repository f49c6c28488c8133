// The camera of whatever runs this page: opened on a press, and released as soon as it is not
// needed. It looks at nothing itself; its frames are pictures like an uploaded one.

const LONGEST_SIDE = 1280;
const OTHER_WAYS = "請改用上傳圖片，或貼上內容。";
const WORDS = {
  NotAllowedError: `沒有使用相機的權限。請在瀏覽器允許這個網頁使用相機；或${OTHER_WAYS}`,
  NotFoundError: `這個裝置沒有相機。${OTHER_WAYS}`,
  NotReadableError: `相機無法使用，可能正由其他程式使用。請關閉該程式再試；或${OTHER_WAYS}`,
};
const INSECURE =
  `這個網頁不是以 https 或本機位址（localhost、127.0.0.1）開啟，瀏覽器不提供相機。${OTHER_WAYS}`;

export const INTERRUPTED = `相機中斷了，請再開啟一次；或${OTHER_WAYS}`;

const canvas = document.createElement("canvas");

// The stream of the camera that looks away from its holder, if there is a choice.
export async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error(INSECURE);
  try {
    return await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } },
    });
  } catch (error) {
    throw new Error(WORDS[error.name] ?? `相機無法開啟（${error.name}）。${OTHER_WAYS}`);
  }
}

export function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

// What the video shows now, as a JPEG; null while it shows nothing.
export function takeFrame(video) {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width || !height || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, "image/jpeg", 0.9); });
}
