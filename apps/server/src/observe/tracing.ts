import { context, type Span, SpanStatusCode, trace } from "@opentelemetry/api";

const tracer = trace.getTracer("@queztl/server");

/** Runs work as a span of the present trace; a failure is noted on it. Costs nothing while nobody traces. */
export async function traced<Result>(
  name: string,
  attributes: Readonly<Record<string, string | number | boolean>>,
  work: (span: Span) => Promise<Result>,
): Promise<Result> {
  return tracer.startActiveSpan(name, { attributes: { ...attributes } }, async (span) => {
    try {
      return await work(span);
    } catch (cause) {
      span.recordException(cause instanceof Error ? cause : String(cause));
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw cause;
    } finally {
      span.end();
    }
  });
}

/** The id of the present trace, for logs. */
export const traceId = (): string | undefined =>
  trace.getSpan(context.active())?.spanContext().traceId;
