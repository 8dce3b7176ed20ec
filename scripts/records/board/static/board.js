// The board works without this. It copies texts, puts the cursor into the search box at
// "/", offers the browser's own time zone, and loads a page again that says it is not
// finished, unless its reader is in the middle of something.
"use strict";

document.documentElement.classList.add("js");

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.getElementById("q").focus();
  }
});

const zones = document.getElementById("tz");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (own && ![...zones.options].some((option) => option.value === own)) {
  const option = document.createElement("option");
  option.textContent = own;
  zones.append(option);
}

// A page that is not finished is asked for again. Where it has changed it is loaded, and
// where that would take something out of its reader's hands, it only says so.
const live = Number(document.body.dataset.live);
if (live > 0) {
  let touched = false;
  for (const kind of ["pointerdown", "keydown"]) {
    document.addEventListener(kind, () => { touched = true; }, { once: true });
  }
  const tag = `W/"${document.body.dataset.version}"`;
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-cache" });
      if (answer.headers.get("ETag") !== tag) {
        if (!touched && !document.hidden) {
          location.reload();
          return;
        }
        offer();
        return;
      }
    } catch {
      return; // the board has ended
    }
    setTimeout(look, live * 1000);
  };
  const offer = () => {
    const note = document.createElement("p");
    note.className = "note";
    note.setAttribute("role", "status");
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Show it.";
    note.append("This page has changed since. ", link);
    document.getElementById("main").prepend(note);
  };
  setTimeout(look, 200);
}
