/** A promise and what settles it. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (reason: unknown) => void;
}

/** As `Promise.withResolvers`, which Node.js 20 does not have. A rejection that nobody waits for is no error here. */
export function deferred<Value>(): Deferred<Value> {
  let resolve!: (value: Value) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<Value>((ok, no) => {
    resolve = ok;
    reject = no;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
