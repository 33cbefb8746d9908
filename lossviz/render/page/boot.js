"use strict";
// Inflates what the page carries and starts it; where that cannot be, the still picture stands in.
window.lossviz = {
  page: JSON.parse(document.getElementById("data").textContent),
  standStill(reason) {
    document.body.classList.add("still");
    const source = document.querySelector("body noscript").textContent.match(/src="([^"]+)"/);
    if (source) document.getElementById("still").src = source[1];
    document.getElementById("why").textContent = reason + (source ? " Here is a still picture." : "");
  },
  bytes(text) {
    // five characters of base 85 are four bytes
    const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~",
      value = Object.fromEntries([...letters].map((letter, i) => [letter, i])),
      out = new DataView(new ArrayBuffer(4 * Math.ceil(text.length / 5)));
    for (let i = 0; i < text.length; i += 5) {
      let sum = 0;
      for (let k = i; k < i + 5; k++) sum = 85 * sum + (value[text[k]] ?? 84);
      out.setUint32((i / 5) * 4, sum);
    }
    return new Uint8Array(out.buffer, 0, Math.floor((text.length * 4) / 5));
  },
  async inflate(text) {
    const stream = new Blob([this.bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  },
  async start() {
    const { page } = this,
      script = document.createElement("script");
    if (typeof DecompressionStream === "undefined")
      throw new Error("This browser is too old for the interactive view.");
    this.block = await this.inflate(page.block);
    const words = ([first, length]) => new TextDecoder().decode(this.block.subarray(first, first + length));
    page.views = JSON.parse(words(page.views));
    script.textContent = words(page.script);
    document.body.append(script);
  },
};
lossviz.start().catch((error) => lossviz.standStill(error.message));
