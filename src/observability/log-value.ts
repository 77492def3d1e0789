const MAX_DEPTH = 8;

/**
 * A field's value as JSON can hold it: errors keep kind, message and cause; big integers become
 * text, bytes their length; cycles and deep nesting are cut. Never throws.
 */
export function logValueOf(value: unknown): unknown {
  return convert(value, 0);
}

function convert(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case "bigint":
      return value.toString();
    case "function":
    case "symbol":
      return String(value.toString().slice(0, 40));
    case "object":
      return value === null ? null : objectOf(value, depth);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    default:
      return value;
  }
}

function objectOf(value: object, depth: number): unknown {
  if (depth >= MAX_DEPTH) {
    return "[…]";
  }
  try {
    if (value instanceof Error) {
      return errorOf(value, depth);
    }
    if (value instanceof Date) {
      return Number.isNaN(value.getTime()) ? "invalid date" : value.toISOString();
    }
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      return `[${value.byteLength} bytes]`;
    }
    if (value instanceof URL) {
      // Only what names the place: a query may sign, a user part may authenticate.
      return `${value.protocol}//${value.host}${value.pathname}`;
    }
    if (Symbol.iterator in value) {
      return Array.from(value as Iterable<unknown>, (item) => convert(item, depth + 1));
    }
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, convert(item, depth + 1)]),
    );
  } catch (error) {
    return `[unprintable: ${error instanceof Error ? error.message : typeof error}]`;
  }
}

function errorOf(error: Error, depth: number): unknown {
  const kind = "kind" in error && typeof error.kind === "string" ? error.kind : undefined;
  return {
    ...(kind === undefined ? { name: error.name } : { kind }),
    message: error.message,
    ...(error.cause === undefined ? {} : { cause: convert(error.cause, depth + 1) }),
  };
}
