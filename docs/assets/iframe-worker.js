/* Browsers start no worker for pages that were opened from a folder. There the search's script runs in a hidden frame,
   which is given the two things that it takes from a worker: messages in and out, and importScripts. */
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const inner = frame.contentWindow
      inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const run = src => new Promise((done, failed) => {
        const script = inner.document.createElement("script")
        script.src = src
        script.onload = done
        script.onerror = failed
        inner.document.head.append(script)
      })
      inner.importScripts = (...urls) => urls.reduce((before, src) => before.then(() => run(src)), Promise.resolve())
      this.frame = inner
      this.ready = run(url)
    }

    postMessage(data) {
      this.ready.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.frameElement.remove()
    }
  }
  window.Worker = window.IFrameWorker
}
