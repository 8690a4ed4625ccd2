(function (host, web) {
  "use strict";

  let making = true;

  class Navigator {
    constructor() {
      if (!making) throw new TypeError("Illegal constructor");
    }

    get userAgent() {
      return web.userAgent;
    }

    get language() {
      return "en";
    }

    get languages() {
      return LANGUAGES;
    }

    get hardwareConcurrency() {
      return 1;
    }
  }

  const LANGUAGES = Object.freeze(["en"]);

  web.idl(Navigator);
  web.navigator = new Navigator();
  making = false;
});
