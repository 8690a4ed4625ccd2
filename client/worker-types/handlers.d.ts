/** What a worker exports, and what its handlers are given. */

type MaybePromise<T> = T | Promise<T>;

/** What an event is waited for with. */
interface ExecutionContext {
  /** Keeps the event going after its answer, until the promise settles or the event's time is over. */
  waitUntil(promise: Promise<unknown>): void;
  /** Does nothing; here for code that was written for other platforms. */
  passThroughOnException(): void;
}

/** Why `scheduled` runs. */
interface ScheduledController {
  /** The schedule, as deployed. */
  readonly cron: string;
  /** The minute that it is for, in milliseconds since 1970. */
  readonly scheduledTime: number;
  readonly type: "scheduled";
  /** Does nothing; here for code that was written for other platforms. */
  noRetry(): void;
  waitUntil(promise: Promise<unknown>): void;
}

/**
 * Handlers in the standard form. `Env` names the variables and secrets of the worker; all of them are strings.
 *
 * ```ts
 * export default { fetch: () => new Response("Hello") } satisfies ExportedHandler;
 * ```
 */
interface ExportedHandler<Env = Record<string, string>> {
  fetch?(request: Request, env: Env, ctx: ExecutionContext): MaybePromise<Response | LegacyResponse>;
  scheduled?(controller: ScheduledController, env: Env, ctx: ExecutionContext): MaybePromise<void>;
}

/** A request in the form of the first nodes (`compatibility = "legacy"`). */
interface LegacyRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  /** The body as text; empty where there is none. */
  body: string;
  cf?: { country?: string; city?: string };
}

/** An answer as a plain object. It is taken in every form. */
interface LegacyResponse {
  status?: number;
  headers?: Record<string, string>;
  body?: string | null;
}

/** Handlers in the form of the first nodes. */
interface LegacyHandler<Env = Record<string, string>> {
  fetch(request: LegacyRequest, env: Env): MaybePromise<LegacyResponse | Response>;
}
