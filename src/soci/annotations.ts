/** Media type of a zTOC's descriptor. */
export const ZTOC_MEDIA_TYPE = "application/octet-stream";

/** Media type of a prefetch artifact's descriptor. */
export const PREFETCH_MEDIA_TYPE = "application/vnd.amazon.soci.prefetch.v1+json";

/** Media type of a SOCI index's config, and artifact type of the index: v1 is found by its subject, v2 by an annotation. */
export const SOCI_INDEX_V1 = "application/vnd.amazon.soci.index.v1+json";
export const SOCI_INDEX_V2 = "application/vnd.amazon.soci.index.v2+json";

/** On the SOCI index: what built it. */
export const BUILD_TOOL_ANNOTATION = "com.amazon.soci.build-tool-identifier";

/** On a zTOC's or prefetch artifact's descriptor: the layer it is of. */
export const LAYER_DIGEST_ANNOTATION = "com.amazon.soci.image-layer-digest";

/** On a zTOC's descriptor: the media type of its layer. */
export const LAYER_MEDIA_TYPE_ANNOTATION = "com.amazon.soci.image-layer-mediaType";

/** On a zTOC's descriptor: bytes, in decimal. */
export const SPAN_SIZE_ANNOTATION = "com.amazon.soci.span-size";

/** On a zTOC's descriptor: "true" when its layer has neither extended attributes nor opaque directories. */
export const DISABLE_XATTRS_ANNOTATION = "com.amazon.soci.disable-xattrs";

/** On an image manifest and its descriptor: the v2 SOCI index of it. */
export const INDEX_DIGEST_ANNOTATION = "com.amazon.soci.index-digest";

/** On a v2 SOCI index's descriptor in an image index: the image manifest it is of. */
export const IMAGE_MANIFEST_ANNOTATION = "com.amazon.soci.image-manifest-digest";
