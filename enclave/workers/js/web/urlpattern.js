(function (host, web) {
  "use strict";

  const PARTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];

  // A pattern or an input as natives take it: its text, or its parts with the base URL as the ninth.
  const given = (input) => {
    if (input === null || (typeof input !== "object" && typeof input !== "function"))
      return [web.usv(input), []];
    const parts = [...PARTS, "baseURL"].map((name) =>
      input[name] === undefined ? null : web.usv(input[name]),
    );
    return [null, parts];
  };

  class URLPattern {
    #texts = {};
    #expressions = {};
    #names = {};
    #hasGroups;

    constructor(input = {}, second = undefined, third = undefined) {
      const hasBase = typeof second === "string" || third !== undefined;
      const base = hasBase && second !== undefined ? web.usv(second) : null;
      const options = web.dictionary(hasBase ? third : second, "The options of a URL pattern");
      const ignoreCase = Boolean(options.ignoreCase);
      const [text, parts] = given(input);
      const compiled = host.pattern.compile(text, parts, base, ignoreCase);
      PARTS.forEach((name, i) => {
        const [pattern, expression, names] = compiled.slice(3 * i, 3 * i + 3);
        this.#texts[name] = pattern;
        this.#names[name] = names;
        // As the standard says, but for the parts that match anything.
        this.#expressions[name] = pattern === "*" ? null : this.#compile(name, expression, ignoreCase);
      });
      this.#hasGroups = compiled[3 * PARTS.length];
    }

    #compile(name, expression, ignoreCase) {
      // The standard says v, in which the engine refuses "a-b" and "::" outside of classes.
      for (const flags of ["v", "u"]) {
        try {
          return new RegExp(expression, ignoreCase ? `${flags}i` : flags);
        } catch {
          // Perhaps in the other one.
        }
      }
      throw new TypeError(`Invalid URL pattern: its ${name} is no regular expression`);
    }

    get protocol() {
      return this.#texts.protocol;
    }
    get username() {
      return this.#texts.username;
    }
    get password() {
      return this.#texts.password;
    }
    get hostname() {
      return this.#texts.hostname;
    }
    get port() {
      return this.#texts.port;
    }
    get pathname() {
      return this.#texts.pathname;
    }
    get search() {
      return this.#texts.search;
    }
    get hash() {
      return this.#texts.hash;
    }
    get hasRegExpGroups() {
      return this.#hasGroups;
    }

    test(input = {}, baseURL = undefined) {
      return this.#match(input, baseURL) !== null;
    }

    exec(input = {}, baseURL = undefined) {
      return this.#match(input, baseURL);
    }

    #match(input, baseURL) {
      const base = baseURL === undefined ? null : web.usv(baseURL);
      const [text, parts] = given(input);
      const values = host.pattern.input(text, parts, base);
      if (!values) return null;
      const result = { inputs: base === null ? [input] : [input, base] };
      for (let i = 0; i < PARTS.length; i++) {
        const part = this.#matchPart(PARTS[i], values[i]);
        if (!part) return null;
        result[PARTS[i]] = part;
      }
      return result;
    }

    #matchPart(name, value) {
      const expression = this.#expressions[name];
      if (!expression) return { input: value, groups: { 0: value } };
      const found = expression.exec(value);
      if (!found) return null;
      const groups = {};
      this.#names[name].forEach((group, i) => {
        Object.defineProperty(groups, group, {
          value: found[i + 1],
          writable: true,
          enumerable: true,
          configurable: true,
        });
      });
      return { input: value, groups };
    }
  }

  web.idl(URLPattern);
});
