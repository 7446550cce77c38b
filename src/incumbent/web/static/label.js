// A key for each answer, and how long a row was looked at. The page works without this file: its buttons are a form.
"use strict";
(() => {
  const form = document.querySelector("form.answer");
  if (!form) return;
  let spent = 0;
  let since = document.hidden ? null : performance.now();
  let sent = false;

  // Only the time during which the page was visible counts.
  document.addEventListener("visibilitychange", () => {
    if (since !== null) spent += performance.now() - since;
    since = document.hidden ? null : performance.now();
  });
  form.addEventListener("submit", (event) => {
    if (sent) return event.preventDefault();
    sent = true;
    form.elements.took_ms.value = Math.round(spent + (since === null ? 0 : performance.now() - since));
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) sent = false; });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const button = [...document.querySelectorAll("button[data-key]")].find((one) => one.dataset.key === event.key.toLowerCase());
    if (!button) return;
    event.preventDefault();
    button.click();
  });
})();
