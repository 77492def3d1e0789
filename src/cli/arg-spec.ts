/** One positional argument. */
export interface ArgSpec {
  /** Lower case, kebab-case: the key in `context.args`; help shows it in capitals. */
  readonly name: string;
  readonly required: boolean;
  /** Takes all arguments that are left; only the last one of a command may. */
  readonly repeatable?: boolean;
  readonly description: string;
}

type ArgValue<S extends ArgSpec> = S extends { readonly repeatable: true }
  ? readonly string[]
  : S extends { readonly required: true }
    ? string
    : string | undefined;

/** `context.args` of a command: an array when repeatable, `undefined` when optional and absent. */
export type ArgValues<A extends readonly ArgSpec[]> = {
  readonly [S in A[number] as S["name"]]: ArgValue<S>;
};

/** ArgValues of a command whose spec is not known to the compiler. */
export type AnyArgValues = Readonly<Record<string, string | undefined | readonly string[]>>;
