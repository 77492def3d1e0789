/** One run of data in a sparse file: bytes [offset, offset + length) of the file are no hole. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}
