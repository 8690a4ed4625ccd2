(function (host, web) {
  "use strict";

  web.reportError = function reportError(error) {
    if (arguments.length === 0) throw new TypeError("There is no error to report");
    web.report(error);
  };
});
