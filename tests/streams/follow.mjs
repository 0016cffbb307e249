// Follows a task with what Node has for pages, and prints the number of each event: follow.mjs EventSource|WebSocket URL
const [how, url] = process.argv.slice(2);
let last = 0;
// Node ends when nothing is open, and an EventSource that waits before it comes back holds nothing open.
setInterval(() => {}, 1_000);

function take(type, data) {
  if (type === "end") return;
  const event = JSON.parse(data);
  last = event.seq;
  console.log(JSON.stringify({ type, seq: event.seq }));
  if (type === "done") process.exit(0);
}

function byEvents() {
  // It comes back by itself, and says by Last-Event-ID what it has.
  const source = new EventSource(url);
  for (const type of ["task", "job", "blocked", "approval", "done"]) {
    source.addEventListener(type, (event) => take(type, event.data));
  }
}

function bySocket() {
  const socket = new WebSocket(`${url}&last_event_id=${last}`);
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    take(message.event, JSON.stringify(message.data));
  };
  socket.onclose = () => setTimeout(bySocket, 200);
}

if (how === "EventSource") byEvents();
else bySocket();
