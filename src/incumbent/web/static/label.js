// Keys for every answer, and how long a row was looked at. The page works without this file: its buttons are a form.
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

  const find = document.querySelector("#find");
  const first = find ? finding(find) : () => null;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
    const key = event.key.toLowerCase();
    let button = [...document.querySelectorAll("button[data-key]")].find((one) => one.dataset.key === key);
    if (find) {
      if (key.startsWith("arrow") && find.value) return;  // they move in the text
      if (key === "enter" && document.activeElement.tagName !== "BUTTON") {
        event.preventDefault();
        button = first();
      } else if (!button && key.length === 1 && key !== " ") {
        return find.focus();  // and the letter goes there
      }
    }
    if (!button) return;
    event.preventDefault();
    button.click();
  });

  // More than ten classes: what is typed leaves those that hold it, the likeliest first. Returns a function that gives
  // the first of them, once something was typed.
  function finding(input) {
    const box = document.querySelector(".choices");
    const buttons = [...box.children];
    const words = buttons.map((one) => plain(one.querySelector("span").textContent));
    const keys = buttons.map((one) => one.dataset.key).filter(Boolean);
    let found = [];

    input.addEventListener("input", show);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      input.value = "";
      show();
    });
    window.addEventListener("pageshow", show);  // a browser may bring back what was typed
    input.closest(".finding").hidden = false;
    if (matchMedia("(pointer: fine)").matches) input.focus();
    show();
    return () => (input.value.trim() ? found[0] : null);

    function show() {
      const typed = plain(input.value);
      const ranks = words.map((one) => rank(one, typed));
      const order = buttons.map((_, i) => i).filter((i) => ranks[i] < 4).sort((a, b) => ranks[a] - ranks[b] || a - b);
      found = order.map((i) => buttons[i]);
      for (const one of buttons) {
        one.hidden = !found.includes(one);
        one.classList.toggle("first", Boolean(typed) && one === found[0]);
        key(one, keys[found.indexOf(one)]);
      }
      box.append(...found);
      box.scrollTop = 0;
      const some = typed ? `${found.length} of ${words.length}` : `${words.length} to choose from`;
      document.querySelector("#found").textContent = found.length ? some : "None has it. Escape shows all again.";
    }
  }

  // Shows a button's key, or none.
  function key(button, name) {
    let shown = button.querySelector("kbd");
    if (name === undefined) {
      delete button.dataset.key;
      if (shown) shown.remove();
      return;
    }
    if (!shown) {
      shown = document.createElement("kbd");
      button.prepend(shown);
    }
    button.dataset.key = shown.textContent = name;
  }

  // 0: it is what was typed; 1: begins with it; 2: a word of it does; 3: holds it; 4: does not.
  function rank(word, typed) {
    if (word === typed) return 0;
    if (word.startsWith(typed)) return 1;
    if (word.includes(` ${typed}`)) return 2;
    return word.includes(typed) ? 3 : 4;
  }

  // Without accents and capitals.
  function plain(text) {
    return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();
  }
})();
