// A link to the page that is shown already, the one at the top too, goes where it says, as every link does.
// Streamlit would draw what such a link asks for (from its menu, not even that) and leave the address as it was: a reload would
// lose it. So the address is set first, and Streamlit hears of it as of a step back or forth, which it follows.
window.addEventListener(
  "click",
  (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.composedPath().find((node) => node instanceof HTMLAnchorElement);
    if (!link?.getAttribute("href") || link.hash || link.download || (link.target && link.target !== "_self")) return;
    if (link.origin !== location.origin || link.pathname !== location.pathname || link.search === location.search) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    history.pushState({}, "", link.href);
    window.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
  },
  true,
);
