"use strict";
// Inflates what the page carries and starts it; where that cannot be, the still picture stands in.
window.lossviz = {
  page: JSON.parse(document.getElementById("data").textContent),
  standStill(reason) {
    document.body.classList.add("still");
    const source = document.querySelector("noscript").textContent.match(/src="([^"]+)"/);
    if (source) document.getElementById("still").src = source[1];
    document.getElementById("why").textContent = reason + (source ? " Here is a still picture." : "");
  },
  async inflate(text) {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  },
  async start() {
    const { page } = this,
      script = document.createElement("script");
    document.getElementById("caption").textContent = page.caption;
    if (typeof DecompressionStream === "undefined")
      throw new Error("This browser is too old for the interactive view.");
    this.block = await this.inflate(page.block);
    const [first, length] = page.script;
    script.textContent = new TextDecoder().decode(this.block.subarray(first, first + length));
    document.body.append(script);
  },
};
lossviz.start().catch((error) => lossviz.standStill(error.message));
