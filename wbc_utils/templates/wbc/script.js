(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const remember = (theme) => { try { localStorage.setItem("wbc-theme", theme); } catch { /* no storage here */ } };
  const remembered = () => { try { return localStorage.getItem("wbc-theme"); } catch { return null; } };
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();

  const themeButton = (button) => {
    const current = () => root.dataset.theme || (dark.matches ? "dark" : "light");
    const other = () => (current() === "dark" ? "light" : "dark");
    const label = () => { button.textContent = other() === "dark" ? "Dark theme" : "Light theme"; };
    button.addEventListener("click", () => { root.dataset.theme = other(); remember(root.dataset.theme); label(); });
    dark.addEventListener("change", label);
    label();
    button.hidden = false;
  };

  const codeButton = (button) => {
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-pressed") !== "true";
      document.querySelectorAll("details.code").forEach((cell) => { cell.open = open; });
      button.setAttribute("aria-pressed", open);
    });
    button.hidden = false;
  };

  const contents = (details) => {
    const wide = matchMedia("(min-width: 64rem)");
    const fit = () => { details.open = wide.matches; };
    wide.addEventListener("change", fit);
    details.addEventListener("click", (event) => { if (event.target.closest("a")) fit(); });
    fit();
    const links = new Map([...details.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        links.forEach((link) => link.removeAttribute("aria-current"));
        links.get(entry.target.id).setAttribute("aria-current", "true");
      }
    }, { rootMargin: "0px 0px -70% 0px" });
    links.forEach((link, id) => seen.observe(document.getElementById(id)));
  };

  document.addEventListener("DOMContentLoaded", () => {
    themeButton(document.getElementById("theme"));
    const code = document.getElementById("all-code");
    if (code) codeButton(code);
    const list = document.querySelector(".contents details");
    if (list) contents(list);
  });
})();
