/** What a zTOC says in short. */
export interface ZtocSummary {
  /** Bytes of the zTOC. */
  readonly size: number;
  readonly compressedSize: number;
  readonly uncompressedSize: number;
  readonly spanCount: number;
  readonly fileCount: number;
  /** Whether an entry carries an extended attribute, or is an opaque whiteout (which becomes one). */
  readonly needsXattrs: boolean;
  /**
   * Why the zTOC cannot be read, or undefined: the reference writes some that its own daemon refuses
   * (empty spans, files that overlap: what decodeZtoc() and checkSpans() would say of it) or reads
   * wrongly (sparse files).
   */
  readonly unusable: string | undefined;
}
