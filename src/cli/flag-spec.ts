interface FlagSpecBase {
  readonly description: string;
  /** One letter. */
  readonly short?: string;
}

interface ValueFlagSpecBase extends FlagSpecBase {
  /** What the help calls the value, as in `DIR` or `SIZE`. */
  readonly valueName: string;
  /** Whether the flag may be repeated; its values collect, in order. */
  readonly multiple?: boolean;
}

/** Present or not; takes no value. */
export interface BooleanFlagSpec extends FlagSpecBase {
  readonly type: "boolean";
}

export interface StringFlagSpec extends ValueFlagSpecBase {
  readonly type: "string";
  readonly default?: string;
}

/** A decimal integer, `min` (default 0) to `max` (default 2^53-1). */
export interface IntegerFlagSpec extends ValueFlagSpecBase {
  readonly type: "integer";
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
}

/** A number of bytes as parseByteSize() reads it: `4194304`, `4MiB`, `64k`, `1.5G`. */
export interface BytesFlagSpec extends ValueFlagSpecBase {
  readonly type: "bytes";
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
}

/** A duration as parseDuration() reads it (`500ms`, `1m30s`); the value is in milliseconds. */
export interface DurationFlagSpec extends ValueFlagSpecBase {
  readonly type: "duration";
  readonly default?: number;
}

/** One of a fixed list of words; help shows the list as the value's name. */
export interface ChoiceFlagSpec extends FlagSpecBase {
  readonly type: "choice";
  readonly choices: readonly [string, ...string[]];
  readonly multiple?: boolean;
  readonly default?: string;
}

export type FlagSpec =
  | BooleanFlagSpec
  | StringFlagSpec
  | IntegerFlagSpec
  | BytesFlagSpec
  | DurationFlagSpec
  | ChoiceFlagSpec;

/** By long name, kebab-case, without the dashes. */
export type FlagSpecs = Readonly<Record<string, FlagSpec>>;

type OneValue<S extends FlagSpec> = S extends ChoiceFlagSpec
  ? S["choices"][number]
  : S extends StringFlagSpec
    ? string
    : number;

type FlagValueOf<S extends FlagSpec> = S extends BooleanFlagSpec
  ? boolean
  : S extends { readonly multiple: true }
    ? readonly OneValue<S>[]
    : S extends { readonly default: string | number }
      ? OneValue<S>
      : OneValue<S> | undefined;

/**
 * `context.flags` of a command: booleans are always there, repeatable flags are arrays (empty when
 * absent), the others are `undefined` when absent and without a default.
 */
export type FlagValues<F extends FlagSpecs> = {
  readonly [N in keyof F]: FlagValueOf<F[N]>;
};

/** Any flag's value. */
export type FlagValue = boolean | string | number | undefined | readonly (string | number)[];

/** FlagValues of a command whose spec is not known to the compiler. */
export type AnyFlagValues = Readonly<Record<string, FlagValue>>;
