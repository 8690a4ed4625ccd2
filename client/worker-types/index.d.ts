/// <reference path="./events.d.ts" />
/// <reference path="./url.d.ts" />
/// <reference path="./streams.d.ts" />
/// <reference path="./fetch.d.ts" />
/// <reference path="./crypto.d.ts" />
/// <reference path="./globals.d.ts" />
/// <reference path="./handlers.d.ts" />
