(function (host, web) {
  "use strict";

  // Written by the vendored part; it looks for its neighbours on the global object.
  web.need("abort");
  web.need("streams_vendored");

  const { ReadableStream } = web.streamsVendored;
  for (const name of Object.keys(web.streamsVendored)) web[name] = web.streamsVendored[name];

  web.isStream = (value) => value instanceof ReadableStream;
});
