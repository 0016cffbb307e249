/* Follow one task, or the list of all tasks, over server-sent events. A module without dependencies, for pages with a
   strict content policy; it also runs in Node.

   const stream = follow({
     url: "/tasks/ID/stream",               // or "/stream", with its filters
     token: async () => "...",              // a stream token; asked for again when the last one is of no use
     onEvent: ({ type, id, data }) => {},   // task, job, blocked, approval, done, reset
     onText: ({ job, attempt, text }) => {},  // all text of a running job so far
     onState: (state, reason) => {},        // "connecting", "open", "offline"; "ended" with done, access or missing
   });
   stream.close();

   It resumes behind the last event that it has handed on, so none comes twice and none is missed. After a `reset` what
   the page knows is of no use: a page with a list reads it again. */

const QUIET_MS = 40_000; // the server pings every 15 s
const LONGEST_WAIT_MS = 30_000;
// So many failures in a row are those of a process that starts again.
const SOON = 4;
const FINAL = { 403: "access", 404: "missing" };

export function follow({ url, token, onEvent, onText = () => {}, onState = () => {}, fetch = globalThis.fetch }) {
  const place = { id: null, retryMs: 2_000, failures: 0, texts: new Map() };
  let state = null;
  let current = null; // the token in use
  let request = null;
  let isClosed = false;
  let wakeUp = () => {};

  const say = (next, reason) => {
    if (state !== next) onState((state = next), reason);
  };
  const soon = () => wakeUp();
  globalThis.addEventListener?.("online", soon);

  function close() {
    isClosed = true;
    request?.abort();
    wakeUp();
    globalThis.removeEventListener?.("online", soon);
  }

  function end(reason) {
    say("ended", reason);
    close();
  }

  /* Hand on one event; returns the reason when the stream has ended. */
  function take(event) {
    if (event.id !== null) place.id = event.id;
    if (event.type === null) return null;
    if (event.type === "end") return event.data.reason;
    if (event.type === "delta") {
      const { job, attempt, offset, text } = event.data;
      const known = place.texts.get(job);
      const whole = offset === 0 || known?.attempt !== attempt ? text : known.text + text;
      place.texts.set(job, { attempt, text: whole });
      onText({ job, attempt, text: whole });
      return null;
    }
    if (event.type === "reset") place.texts.clear();
    if (event.type === "job" && event.data.state !== "running") place.texts.delete(event.data.job.id);
    onEvent(event);
    return null;
  }

  async function connect() {
    say("connecting");
    const isFresh = current === null;
    current ??= await token();
    request = new AbortController();
    const watch = watchdog(request);
    try {
      const address = `${url}${url.includes("?") ? "&" : "?"}token=${encodeURIComponent(current)}`;
      const headers = { Accept: "text/event-stream", ...(place.id === null ? {} : { "Last-Event-ID": place.id }) };
      const response = await fetch(address, { headers, cache: "no-store", signal: request.signal });
      if (response.status === 401) {
        current = null;
        // A token lives for minutes, so an old one is no news; a new one that is refused is.
        return isFresh ? "access" : "again";
      }
      if (FINAL[response.status]) return FINAL[response.status];
      if (!response.ok) throw new Error(`the service answers ${response.status}`);
      place.failures = 0;
      say("open");
      for await (const event of eventsOf(response.body, watch, place)) {
        const reason = take(event);
        if (reason === "access") current = null;
        if (reason) return reason === "done" ? "done" : "again";
        if (isClosed) return null;
      }
      return null;
    } finally {
      watch.stop();
      request.abort();
    }
  }

  async function run() {
    while (!isClosed) {
      let outcome = null;
      try {
        outcome = await connect();
      } catch {
        place.failures += 1;
      }
      if (isClosed) return;
      if (outcome === "again") continue;
      if (outcome !== null) return end(outcome);
      say("offline");
      const factor = 2 ** Math.max(0, place.failures - SOON);
      await pause(Math.min(LONGEST_WAIT_MS, place.retryMs * factor) * (0.5 + Math.random() / 2));
    }
  }

  function pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wakeUp = () => { clearTimeout(timer); resolve(); };
    });
  }

  run();
  return { close };
}

/* Break a connection off on which nothing comes: it may be gone without anybody having said so. */
function watchdog(request) {
  let timer = null;
  const feed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => request.abort(), QUIET_MS);
  };
  feed();
  return { feed, stop: () => clearTimeout(timer) };
}

/* Read server-sent events as the HTML standard says. A block without data has the type null, and may carry an id. */
async function* eventsOf(body, watch, place) {
  let rest = "";
  let fields = {};
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    watch.feed();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        const { event = "message", data, id = null } = fields;
        fields = {};
        if (data !== undefined) yield { type: event, id, data: JSON.parse(data) };
        else if (id !== null) yield { type: null, id };
        continue;
      }
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "retry") place.retryMs = Number(text) || place.retryMs;
      else if (name) fields[name] = text;
    }
  }
}
