"use strict";
for (const op of document.querySelectorAll("details.op[data-path]")) {
  const panel = op.querySelector(".in");
  const add = (name, text) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    panel.append(element);
    return element;
  };
  add("h4", "Try it");
  const bodies = [...op.querySelectorAll("pre.body")].map((it) => it.textContent);
  let area = null;
  if (op.dataset.method === "post") {
    area = add("textarea");
    area.spellcheck = false;
    area.setAttribute("aria-label", "The body to send");
    area.value = bodies[0] ?? "";
  }
  const send = add("button", "Send");
  for (const [at, body] of bodies.entries()) {
    if (bodies.length < 2) break;
    add("button", "Form " + (at + 1)).addEventListener("click", () => { area.value = body; });
  }
  const status = add("p");
  status.setAttribute("role", "status");
  const answer = add("pre");
  answer.hidden = true;
  send.addEventListener("click", async () => {
    send.disabled = true;
    status.className = "soft";
    status.textContent = "Sent.";
    const started = performance.now();
    try {
      const options = { method: op.dataset.method.toUpperCase() };
      if (area !== null) {
        options.body = area.value;
        options.headers = { "content-type": "application/json" };
      }
      const response = await fetch(op.dataset.path, options);
      const text = await response.text();
      const origin = response.headers.get("x-error-origin");
      const id = response.headers.get("x-request-id");
      status.className = response.ok ? "good" : "bad";
      status.textContent = response.status + " after " + Math.round(performance.now() - started) + " ms"
        + (origin ? ", from the " + origin : "") + (id ? ", request " + id : "");
      answer.textContent = text;
      answer.hidden = false;
    } catch (error) {
      status.className = "bad";
      status.textContent = "No answer: " + error.message;
    } finally {
      send.disabled = false;
    }
  });
}
