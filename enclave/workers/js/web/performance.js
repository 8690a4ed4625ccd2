(function (host, web) {
  "use strict";

  web.need("events");
  let making = true;

  // Whole milliseconds since the event began: a finer clock would let workers time what others do.
  class Performance extends web.EventTarget {
    constructor() {
      if (!making) throw new TypeError("Illegal constructor");
      super();
    }

    get timeOrigin() {
      return Date.now() - host.now();
    }

    now() {
      return host.now();
    }

    toJSON() {
      return { timeOrigin: this.timeOrigin };
    }
  }

  web.idl(Performance);
  web.performance = new Performance();
  making = false;
});
