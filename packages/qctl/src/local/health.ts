/** What a server says of itself without a token. */
export type Health = "ready" | "starting" | "absent" | "foreign";

/** Whether a server answers at an address, and is ready. Throws nothing. */
export async function healthOf(url: string, patienceMs = 2000): Promise<Health> {
  const base = url.replace(/\/+$/, "");
  try {
    const signal = AbortSignal.timeout(patienceMs);
    const response = await fetch(`${base}/readyz`, { signal, redirect: "error" });
    await response.body?.cancel();
    if (response.ok) return "ready";
    return response.status === 503 ? "starting" : "foreign";
  } catch (failure) {
    const cause = failure instanceof Error ? failure.cause : undefined;
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    return code === "ECONNREFUSED" || code === "ENOTFOUND" || code === "EAI_AGAIN"
      ? "absent"
      : failure instanceof Error && failure.name === "TimeoutError"
        ? "starting"
        : "foreign";
  }
}
